"""A workflow being laid out: nodes in titled columns, wires by name, saved in the editor's format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .host_nodes import AFTER_A_RUN, HostNodes

Json = dict[str, Any]

TITLE_BAR = 30
GAP = 24
_ANY = "COMFY_MATCHTYPE_V3"
GROUP_HEAD = 52
GROUP_PAD = 20

_GREEN = {"color": "#232", "bgcolor": "#353"}
_BROWN = {"color": "#432", "bgcolor": "#000"}
COLOURS: dict[str, dict[str, str]] = {
    "KLoRALoadLora": _GREEN,
    "KLoRALoadPair": _GREEN,
    "KLoRAFuse": _GREEN,
    "KLoRASweep": _GREEN,
    "KLoRACompose": _GREEN,
    "MarkdownNote": _BROWN,
}
"""What the page gives nodes that are added by hand, and notes."""


@dataclass
class Canvas:
    """Collects columns of nodes from left to right; what a node has is read from the host."""

    host: HostNodes
    nodes: list[Json] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    groups: list[Json] = field(default_factory=list)
    extra: Json = field(default_factory=dict)
    _named: dict[str, Json] = field(default_factory=dict)

    def group(self, title: str, colour: str, at: tuple[int, int], *columns: list[Json]) -> tuple[int, int]:
        """Put columns of nodes in a titled box; returns where the space right of it and below it begins."""
        left, lowest = at[0] + GROUP_PAD, 0
        for nodes in columns:
            top, width = at[1] + GROUP_HEAD, max(node["size"][0] for node in nodes)
            for node in nodes:
                node["size"][0] = width
                node["pos"] = [left, top + TITLE_BAR]
                top += TITLE_BAR + node["size"][1] + GAP
            left, lowest = left + width + GAP, max(lowest, top - GAP)
        box = [*at, left - GAP + GROUP_PAD - at[0], lowest + GROUP_PAD - at[1]]
        group = {"id": len(self.groups) + 1, "title": title, "bounding": box, "color": colour}
        self.groups.append({**group, "font_size": 24, "flags": {}})
        return at[0] + box[2] + 2 * GAP, at[1] + box[3] + 2 * GAP

    def node(
        self,
        name: str,
        kind: str,
        size: tuple[int, int],
        widgets: Mapping[str, Any] | None = None,
        *,
        title: str = "",
        collapsed: bool = False,
        takes: Iterable[str] = (),
        **wires: str,
    ) -> Json:
        """Add a node called `name`; `widgets` are those that differ from the host's defaults, wires are
        input="other node.output name"; `takes` are widgets that get a socket with no wire."""
        sockets, gives = self.host.sockets(kind, [*wires, *takes])
        node: Json = {"id": len(self.nodes) + 1, "type": kind, "pos": [0, 0], "size": list(size)}
        node |= {
            "flags": {"collapsed": True} if collapsed else {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": sockets,
            "outputs": gives,
        }
        node["properties"] = {"Node name for S&R": kind} if gives or sockets else {}
        node["widgets_values"] = self.host.widget_values(kind, widgets or {})
        if size[1]:
            node["size"][1] = max(size[1], _least(node))
        if title:
            node["title"] = title
        node |= COLOURS.get(kind, {})
        self.nodes.append(node)
        self._named[name] = node
        for input_name, source in wires.items():
            self._wire(source, node, input_name)
        return node

    def _wire(self, source: str, target: Json, input_name: str) -> None:
        source_name, _, output_name = source.partition(".")
        origin = self._named[source_name]
        slot = next(i for i, out in enumerate(origin["outputs"]) if out["name"] == output_name)
        place = next(i for i, item in enumerate(target["inputs"]) if item["name"] == input_name)
        link_id = len(self.links) + 1
        type_ = origin["outputs"][slot]["type"]
        for socket in (*target["inputs"], *target["outputs"]):
            # What takes anything is of the kind that is wired to it, and so is what it gives.
            if socket["type"] == _ANY:
                socket["type"] = type_
        origin["outputs"][slot]["links"].append(link_id)
        target["inputs"][place]["link"] = link_id
        self.links.append([link_id, origin["id"], slot, target["id"], place, type_])

    def app(self, inputs: Iterable[tuple[str, str]], outputs: Iterable[str]) -> None:
        """What the page's app mode shows: widgets, by node and name, and the outputs of nodes."""
        shown = [[self._named[node]["id"], widget] for node, widget in inputs]
        self.extra["linearData"] = {"inputs": shown, "outputs": [self._named[node]["id"] for node in outputs]}

    def saved(self, id: str) -> Json:
        """The workflow as the editor would save it."""
        return {
            "id": id,
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {"ds": {"scale": 0.75, "offset": [120, 120]}, **self.extra},
            "version": 0.4,
        }


def _least(node: Json) -> int:
    """The height below which the page makes a node higher: rows of sockets and widgets, as in Nodes 2.0."""
    sockets = sum("widget" not in item for item in node["inputs"])
    widgets = sum(value != AFTER_A_RUN for value in node["widgets_values"])
    return 20 * max(sockets, len(node["outputs"])) + 28 * widgets + 14
