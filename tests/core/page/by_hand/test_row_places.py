"""Which row of LoRA Set each LoRA of a map has: by the page's links, or why it has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.page import why_not
from tests.support.page.node import Node

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

NODE = Node(Path(__file__).parents[3] / "support" / "page" / "painting.mjs")
TWO = ("subject", "style")
MUTED, BYPASSED = 2, 4


def row(role, *, before=None, stack=False, lora="loader", mode=0, linked=None, **more):
    """A LoRA Set node: its role, the set before it, its LoRA, and whether a stack is connected."""
    values = {"role": role, "stack_roles": "subject, then styles", "on": True, **more}
    values |= {"start": 0, "end": 1, "curve": "", "blocks": ""}
    links = {"lora": lora, "set": before, "lora_stack": "loader" if stack else None}
    return {"type": "KLoRASet", "mode": mode, "values": values, "links": {**links, **(linked or {})}}


def places(nodes, roles, last, names=None):
    """The node, or why there is none, of each LoRA; Compose LoRAs takes its set from ``last``."""
    graph = {"loader": {"type": "Loader"}, "text": {"type": "Concatenate"}, **nodes}
    for name in ("a", "b"):
        graph[f"{name}.bin"] = {"type": "Loader", "values": {"lora": f"{name}.bin"}}
    graph["compose"] = {"type": "KLoRACompose", "links": {"set": last}}
    loras = zip(roles, names or roles, strict=True)
    document = {"loras": [{"role": role, "name": name} for role, name in loras]}
    return NODE.evaluate([{"task": "places", "nodes": graph, "document": document}])[0]


def test_sets_in_a_row_are_in_the_order_of_the_loras():
    nodes = {"a": row("subject"), "b": row("style", before="a"), "c": row("other", before="b")}
    assert places(nodes, (*TWO, "other"), "c") == ["a", "b"]
    # LoRAs of the role other come last, wherever they were collected.
    first = {"a": row("other"), "b": row("subject", before="a"), "c": row("style", before="b")}
    assert places(first, (*TWO, "other"), "c") == ["b", "c"]
    late = {"a": row("style"), "b": row("subject", before="a")}
    assert places(late, ("style", "subject"), "b") == ["a", "b"]


def test_sets_that_add_nothing_are_passed_over():
    nodes = {"a": row("subject"), "b": row("style", before="a"), "c": row("style", before="b", lora=None)}
    assert places(nodes, TWO, "c") == ["a", "b"]
    nodes["c"] = row("style", before="b", mode=BYPASSED)
    assert places(nodes, TWO, "c") == ["a", "b"]
    nodes["c"] = row("style", before="b", stack=True, on=False)
    assert places(nodes, TWO, "c") == ["a", "b"]


def test_loras_that_have_changed_places_since_the_run_are_others():
    nodes = {"a": row("style", lora="a.bin"), "b": row("style", before="a", lora="b.bin")}
    styles = ("style", "style")
    assert places(nodes, styles, "b", ("a.bin", "b.bin")) == ["a", "b"]
    assert places(nodes, styles, "b", ("b.bin", "a.bin")) == ["changed", "changed"]


def test_a_stack_has_no_row_and_the_others_have():
    nodes = {"a": row("subject", stack=True), "b": row("style", before="a")}
    assert places(nodes, ("subject", "style", "style", "style"), "b") == ["a", "stack", "stack", "b"]
    nodes["a"] = row("subject", stack=True, stack_roles="all other")
    assert places(nodes, ("subject", "style", "other"), "b") == ["a", "b"]
    nodes["b"] = row("style", before="a", stack=True)
    assert places(nodes, ("subject", "style", "style", "style"), "b") == ["stack"] * 4


@pytest.mark.parametrize(
    ("nodes", "last", "why"),
    [
        ({"a": {"type": "KLoRAPickLoras"}}, "a", "elsewhere"),
        ({"a": {"type": "Other"}, "b": row("style", before="a")}, "b", "elsewhere"),
        ({}, None, "elsewhere"),
        ({"a": row("subject"), "b": row("style", before="a", mode=MUTED)}, "b", "elsewhere"),
        ({"a": row("subject")}, "a", "changed"),
        ({"a": row("style"), "b": row("subject", before="a")}, "b", "changed"),
        ({"a": row("subject"), "b": row("style", before="a"), "c": row("style", before="b")}, "c", "changed"),
    ],
)
def test_why_nothing_can_be_painted(nodes, last, why):
    assert places(nodes, TWO, last) == [why, why]


@pytest.mark.parametrize("name", ["start", "end", "curve", "blocks"])
def test_what_a_link_says_can_not_be_painted(name):
    nodes = {"a": row("subject", linked={name: "text"}), "b": row("style", before="a")}
    assert places(nodes, TWO, "b") == ["linked", "b"]
