"""Turns a workflow as the editor saves it into the API format that the server executes.

The editor does this in the browser; here it is done from the server's own /object_info, so that shipped
workflows run headless. Subgraphs are refused: no workflow of this pack uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ALWAYS, MUTED, BYPASSED = 0, 2, 4
UNSEEN_BY_THE_SERVER = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}
_WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3"}
_SEEDS = {"seed", "noise_seed"}

Json = dict[str, Any]


class WorkflowError(ValueError):
    """The workflow can't be executed as it is."""


def inputs_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, Any, Json]]:
    """Each input's (name, type, options), in the order in which the editor shows them."""
    groups = definition.get("input", definition)
    for group in ("required", "optional"):
        specs = groups.get(group) or {}
        order = definition.get("input_order", {}).get(group) or specs
        for name in order:
            kind, *rest = specs[name]
            yield name, kind, rest[0] if rest else {}


def is_widget(kind: Any, options: Json) -> bool:
    """Whether the editor shows an input as a widget; else it is a socket."""
    return not options.get("forceInput") and (isinstance(kind, list) or kind in _WIDGET_TYPES)


def has_control(name: str, kind: Any, options: Json) -> bool:
    """Whether the editor puts a second widget behind this one: what to do with it after a run."""
    asked = options.get("control_after_generate")
    return bool(asked if asked is not None else kind == "INT" and name in _SEEDS)


def _widgets(definition: Mapping[str, Any], values: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of each widget, taking from `values` in place what the editor wrote for it."""
    for name, kind, options in inputs_of(definition):
        if not is_widget(kind, options):
            continue
        if not values:
            return
        value = values.pop(0)
        yield prefix + name, value
        if kind == "COMFY_DYNAMICCOMBO_V3":
            chosen = next((option for option in options["options"] if option["key"] == value), None)
            if chosen is None:
                raise WorkflowError(f"{prefix}{name}: {value!r} is not one of its options.")
            yield from _widgets(chosen["inputs"], values, f"{prefix}{name}.")
        if has_control(name, kind, options):
            values.pop(0)
        if options.get("image_upload") and values:
            values.pop(0)


def widget_values(node: Json, definition: Mapping[str, Any]) -> Json:
    """The node's widget values by input name."""
    saved = node.get("widgets_values") or []
    if isinstance(saved, dict):
        return dict(saved)
    rest = list(saved)
    named = dict(_widgets(definition, rest))
    if rest:
        raise WorkflowError(f"node {node['id']} ({node['type']}): widget values {rest} belong to no widget.")
    return named


class _Graph:
    """The saved graph's wires, seen through reroutes, primitives and bypassed nodes."""

    def __init__(self, workflow: Json) -> None:
        if (workflow.get("definitions") or {}).get("subgraphs"):
            raise WorkflowError("the workflow has subgraphs, which are not supported here.")
        # As text: some editors save a node's id as a number, some as a string.
        self.nodes: dict[str, Json] = {str(node["id"]): node for node in workflow["nodes"]}
        self.links = {link[0]: (str(link[1]), link[2]) for link in workflow["links"]}

    def source(self, link_id: int | str | None) -> tuple[Json, int] | None:
        """The executing (or primitive) node and output slot at a link's far end, or None if there is none."""
        while link_id is not None:
            node_id, slot = self.links[link_id]
            node = self.nodes[node_id]
            if node["type"] == "Reroute":
                link_id = node["inputs"][0].get("link")
            elif node.get("mode", ALWAYS) == BYPASSED:
                link_id = self._around(node, slot)
            else:
                return None if node.get("mode", ALWAYS) == MUTED else (node, slot)
        return None

    @staticmethod
    def _around(node: Json, slot: int) -> int | str | None:
        """The input link that a bypassed node passes on to one of its outputs."""
        inputs = node.get("inputs") or []
        kind = node["outputs"][slot]["type"]
        same_place = inputs[slot : slot + 1]
        return next((item.get("link") for item in [*same_place, *inputs] if item["type"] == kind), None)


def to_api(workflow: Json, object_info: Mapping[str, Any]) -> dict[str, Json]:
    """Return the prompt that the editor would queue for this workflow."""
    graph = _Graph(workflow)
    prompt: dict[str, Json] = {}
    for node in graph.nodes.values():
        if node["type"] in UNSEEN_BY_THE_SERVER or node.get("mode", ALWAYS) in (MUTED, BYPASSED):
            continue
        definition = object_info.get(node["type"])
        if definition is None:
            raise WorkflowError(f"node {node['id']}: the server does not know {node['type']}.")
        inputs = widget_values(node, definition)
        for item in node.get("inputs") or []:
            source = graph.source(item.get("link"))
            if source is None:
                continue
            from_node, slot = source
            if from_node["type"] == "PrimitiveNode":
                inputs[item["name"]] = from_node["widgets_values"][0]
            else:
                inputs[item["name"]] = [str(from_node["id"]), slot]
        title = node.get("title") or definition.get("display_name") or node["type"]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}
    return prompt
