"""The subgraph blueprint in the page's node library: two LoRA files in, a model out."""

from __future__ import annotations

from typing import Any

from ..host.find import REPO
from . import parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import FILL, Box, lay_out

NAME = "K-LoRA, two files in, model out"
"""The page shows the file's name."""
PATH = REPO / "subgraphs" / f"{NAME}.json"
_ID = "3f0f4b1e-6a0c-4d59-9c1f-5a1c7d0b2e11"
_INPUT, _OUTPUT = -10, -20
_INPUTS = {
    "model": ("fuse", "model"),
    "clip": ("fuse", "clip"),
    "subject_lora": ("pair", "subject_lora"),
    "style_lora": ("pair", "style_lora"),
    "balance": ("fuse", "balance"),
}
"""What the subgraph takes: the node inside that it goes to, and its input there."""
_OUTPUTS = {"model": "MODEL", "clip": "CLIP", "report": "STRING"}
"""What it gives, all from K-LoRA Fuse."""


def build(host: HostNodes) -> Json:
    """The blueprint as the page would publish it: one node, and its subgraph."""
    canvas = Canvas(host)
    files = {f"{role}_lora": parts.theirs(role) for role in ("subject", "style")}
    pair = canvas.node("pair", "KLoRALoadPair", (300, 102), files, takes=files)
    fuse = canvas.node(
        "fuse", "KLoRAFuse", (320, FILL), subject="pair.subject", style="pair.style", takes=("balance",)
    )
    nodes = {"pair": pair, "fuse": fuse}
    lay_out(canvas, [[Box("Files", parts.BLUE, 300, [pair])]], [[Box("Fuse", parts.GREEN, 320, [fuse])]])
    links = [_link(*link) for link in canvas.links]
    inputs = [_taken(nodes, links, at, name) for at, name in enumerate(_INPUTS)]
    outputs = [_given(fuse, links, at, name) for at, name in enumerate(_OUTPUTS)]
    subgraph = {
        "id": _ID,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": 2, "lastLinkId": len(links), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": NAME,
        "inputNode": {"id": _INPUT, "bounding": [-220, 0, 130, 140]},
        "outputNode": {"id": _OUTPUT, "bounding": [760, 0, 120, 100]},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": canvas.nodes,
        "groups": [],
        "links": links,
        "extra": {},
        "category": "K-LoRA",
        "description": "Fuses a subject LoRA and a style LoRA into a model by K-LoRA.",
    }
    return {
        "id": "3f0f4b1e-6a0c-4d59-9c1f-5a1c7d0b2e12",
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [_outside(nodes, inputs, outputs)],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _link(id: int, origin: int, slot: int, target: int, place: int, kind: str) -> Json:
    at = {"origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": place}
    return {"id": id, **at, "type": kind}


def _slot(id: str, name: str, kind: str, link: int, at: int, x: int) -> Json:
    return {"id": id, "name": name, "type": kind, "linkIds": [link], "pos": [x, 20 + 20 * at]}


def _taken(nodes: dict[str, Json], links: list[Json], at: int, name: str) -> Json:
    inside, socket = _INPUTS[name]
    node = nodes[inside]
    place = next(i for i, item in enumerate(node["inputs"]) if item["name"] == socket)
    link = _link(len(links) + 1, _INPUT, at, node["id"], place, node["inputs"][place]["type"])
    links.append(link)
    node["inputs"][place]["link"] = link["id"]
    return _slot(f"{_ID[:-2]}a{at}", name, link["type"], link["id"], at, -110)


def _given(fuse: Json, links: list[Json], at: int, name: str) -> Json:
    slot = next(i for i, out in enumerate(fuse["outputs"]) if out["name"] == name)
    link = _link(len(links) + 1, fuse["id"], slot, _OUTPUT, at, _OUTPUTS[name])
    links.append(link)
    fuse["outputs"][slot]["links"].append(link["id"])
    return _slot(f"{_ID[:-2]}b{at}", name, link["type"], link["id"], at, 780)


def _outside(nodes: dict[str, Json], inputs: list[Json], outputs: list[Json]) -> Json:
    """The one node that stands for the subgraph."""
    widgets: dict[str, Any] = {"subject_lora": parts.theirs("subject"), "style_lora": parts.theirs("style")}
    widgets["balance"] = 0.0
    takes: list[Json] = [{"name": item["name"], "type": item["type"], "link": None} for item in inputs]
    for item in takes:
        if item["name"] in widgets:
            item["widget"] = {"name": item["name"]}
    return {
        "id": 1,
        "type": _ID,
        "pos": [0, 0],
        "size": [320, 190],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": takes,
        "outputs": [{"name": item["name"], "type": item["type"], "links": []} for item in outputs],
        "title": NAME,
        "properties": {"proxyWidgets": [["-1", name] for name in widgets]},
        "widgets_values": list(widgets.values()),
    }
