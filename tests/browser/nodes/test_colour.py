"""The colour of the nodes that a fusion is made of: by itself where new, the workflow's where one is read."""

from __future__ import annotations

from tests.support.browser.live_page import frames, load, workflow
from tools.workflows.editor.canvas import COLOURS

OURS = {kind: colour for kind, colour in COLOURS.items() if kind.startswith("KLoRA")}
NONE = {"color": None, "bgcolor": None}
COLOUR = "({ color, bgcolor }) => ({ color, bgcolor })"


def test_new_nodes_have_it_as_those_of_templates(opened):
    made = f"Object.fromEntries(types.map((type) => [type, ({COLOUR})(LiteGraph.createNode(type))]))"
    assert opened.evaluate(f"(types) => {made}", [*OURS, "KLoRAMerge"]) == {**OURS, "KLoRAMerge": NONE}


def test_a_workflow_keeps_what_its_user_chose(opened):
    graph = workflow()
    chosen = {"KLoRAFuse": {}, "KLoRALoadPair": {"color": "#223", "bgcolor": "#335"}}
    for node in graph["nodes"]:
        if node["type"] in chosen:
            node.pop("color", None), node.pop("bgcolor", None)
            node |= chosen[node["type"]]
    load(opened, graph)
    frames(opened)
    for kind, colour in chosen.items():
        find = f"app.rootGraph.nodes.find(({{ type }}) => type === '{kind}')"
        assert opened.evaluate(f"({COLOUR})({find})") == (colour or NONE)
        saved = next(n for n in opened.evaluate("klora.saved()")["nodes"] if n["type"] == kind)
        assert {key: saved[key] for key in ("color", "bgcolor") if key in saved} == colour
