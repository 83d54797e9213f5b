"""Strokes of a hand on the map of LoRAs by hand: what they write, and what is drawn of it before a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from klora_core.loras import LoraInfo
from klora_core.methods import ALWAYS, AsScheduled, Presence, When
from klora_core.names import strengths_of
from klora_core.plan import Plan, PlanSlot
from klora_core.progress import in_steps
from tests.support.page import sent, why_not
from tests.support.page.node import Node

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

NODE = Node(Path(__file__).parents[3] / "support" / "page" / "painting.mjs")
NAMES = (
    *(f"input_blocks.{i}.1.attn1.to_q" for i in (1, 2)),
    "middle_block.1.attn1.to_q",
    *(f"output_blocks.{i}.1.{part}" for i in range(3) for part in ("attn1.to_q", "attn2.to_k")),
)
UP = [3, 4, 5, 6, 7, 8]
STEPS = 10
AMBER, BLUE, GREEN = "#fbc14e", "#2b6ab3", "#76f5a1"


def document(when=(ALWAYS, ALWAYS), blocks=("", ""), names=NAMES, other=False):
    """Two LoRAs on all of ``names``, as their blocks leave them; what they leave nobody is silent."""
    own = [strengths_of(text) for text in blocks]
    there = [tuple(i for i in (0, 1) if own[i].of(name)) for name in names]
    at_work = [i for i, loras in enumerate(there) if loras]
    method = AsScheduled(Presence(2, tuple(there[i] for i in at_work)), tuple(when))
    roles = ("subject", "style", *(("other",) if other else ()))
    infos = [LoraInfo(f"{role}.safetensors", role) for role in roles]
    infos[:2] = [
        LoraInfo(f"{role}.safetensors", role, blocks=text.text)
        for role, text in zip(roles, own, strict=False)
    ]
    slots = tuple(PlanSlot(names[i], (8, 8)) for i in at_work)
    plan = Plan(tuple(infos), slots, method.labels(("subject", "style")), method)
    silent = [{name for name in names if not one.of(name)} for one in own]
    return sent(plan, 30, silent)


def row(start=0, end=1, curve="", blocks=""):
    return {"start": start, "end": end, "curve": curve, "blocks": blocks}


def strokes(*given, lora=0, of=None, steps=STEPS):
    asked = {"task": "strokes", "document": of or document(), "lora": lora, "steps": steps}
    return NODE.evaluate([{**asked, "strokes": given}])[0]


def drawn(of, rows, painting=None):
    asked = {"task": "drawn", "document": of, "rows": rows, "painting": painting, "steps": STEPS}
    return NODE.evaluate([asked])[0]


def over(first, last, strength=0):
    return {"slots": [first, last], "strength": strength}


@pytest.mark.parametrize(
    ("given", "blocks"),
    [
        ([over(3, 3)], "up 0: 0"),
        ([over(3, 8)], "up: 0"),
        ([over(8, 3)], "up: 0"),
        ([over(5, 7, 0.5)], "up 1-2: 0.5"),
        ([over(3, 8), over(5, 6, 1)], "up 1: 1, up: 0"),
        # From a block that has the stroke's strength it is taken away.
        ([over(3, 8), over(5, 5)], "up 1: 1, up: 0"),
        ([over(3, 8), over(3, 8)], ""),
        ([over(0, 8)], "all: 0"),
        ([over(0, 2, 0.3)], "down: 0.3, mid: 0.3"),
        ([{"slots": [3, 3], "by": -0.1}] * 3, "up 0: 0.7"),
        ([{"slots": [3, 3], "by": 5}] * 3, "up 0: 10"),
        ([over(2, 2), {"anew": True}], ""),
        # As many digits as a text has, and no more than there may be.
        ([over(3, 3, 1 / 3)], "up 0: 0.3333"),
        ([over(3, 3, 1 / 3)] * 2, ""),
        ([over(3, 3, -12)], "up 0: -10"),
        ([over(3, 3, 12)] * 2, ""),
    ],
)
def test_strokes_over_rows(given, blocks):
    assert strokes(*given) == row(blocks=blocks)


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ([[2, 5]], 0.2, 0.6),
        ([[5, 2]], 0.2, 0.6),
        ([[0, 9]], 0, 1),
        ([[3, None]], 0.3, 1),
        ([[None, 3]], 0, 0.4),
        ([[3, None], [None, 5]], 0.3, 0.6),
        # A start behind the end and an end before the start: the other one gives way.
        ([[None, 3], [6, None]], 0.6, 1),
        ([[6, None], [None, 3]], 0, 0.4),
    ],
)
def test_strokes_over_columns(given, start, end):
    assert strokes(*({"columns": pair} for pair in given)) == row(start, end)


def test_a_text_of_before_is_kept_but_for_what_is_painted():
    of = document(blocks=("", "down 1: 0.5, up: -1"))
    assert strokes(over(5, 6, 2), lora=1, of=of)["blocks"] == "down 1: 0.5, up 1: 2, up: -1"
    beside = document(blocks=("", "time_embed: 0, up 7-8: 2"), names=NAMES)
    assert strokes(over(3, 3), lora=1, of=beside)["blocks"] == "time_embed: 0, up 7-8: 2, up 0: 0"


def test_what_was_taken_from_all_can_be_given_back():
    of = document(blocks=("up: 0", "up 1-2: 0"))
    ran, painting = (drawn(of, [None, None], painting) for painting in (None, 0))
    assert len(ran["slots"]) == 5 and painting["slots"] == list(NAMES)
    assert {cell[0] for cell in painting["cells"][5]} == {None}
    assert strokes(over(5, 8, 1), of=of)["blocks"] == "up 0: 0"
    back = drawn(of, [row(blocks="up 0: 0"), None])
    assert back["slots"] == list(NAMES) and back["cells"][5][0] == ["subject", 1]
    assert back["cells"][0][0][0] == "subject + style" and not back["asRan"]


def test_half_of_the_network_is_painted_where_it_takes_no_block_apart():
    flux = tuple(f"single_blocks.{i}.linear1" for i in range(12))
    of = document(blocks=("content", ""), names=flux)
    assert strokes(over(10, 11, 1), of=of)["blocks"] == ""
    assert strokes(over(0, 0, 0.5), of=of)["blocks"] == "single 0: 0.5, single 10-11: 0"
    sdxl = ("output_blocks.0.1.proj_in", "output_blocks.0.0.in_layers.2", "output_blocks.1.1.proj_in")
    assert strokes(over(0, 0), of=document(blocks=("content", ""), names=sdxl)) is None
    # What it has is known of the run alone.
    typed = drawn(document(names=flux), [row(blocks="content"), None])
    assert typed["beyond"] and typed["asRan"]


def test_as_it_ran_the_map_is_the_plan_s_and_blocks_are_its_depth():
    of = document((When(0, 0.5), When()), ("", "up: 0.5, mid: -2"))
    found = drawn(of, [None, None])
    assert found["asRan"] and not found["beyond"]
    assert found["cells"][2][0] == ["subject + style", 1] and found["cells"][2][9] == ["style", 1]
    assert found["cells"][3][9] == ["style", 0.25] and found["cells"][0][9] == ["style", 0.5]
    assert found["about"][3] == "style 0.5" and found["about"][0] == ""
    plain = drawn(document(), [None, None])
    assert {depth for cells in plain["cells"] for _, depth in cells} == {1}


@pytest.mark.parametrize("painting", [None, 0, 1])
def test_what_rows_say_now_is_drawn_before_a_run(painting):
    rows = [row(0.2, 0.8, "0:1, 1:0", "down: 0"), row(blocks="up: 0.5")]
    found = drawn(document(), rows, painting)
    xs = [moment.x for moment in in_steps(STEPS).moments]
    for i, name in enumerate(NAMES):
        for x, (label, depth) in zip(xs, found["cells"][i], strict=True):
            subject = (0.2 <= x < 0.8) * (1 - x) * (not name.startswith("input"))
            style = 0.5 if name.startswith("output") else 1
            on = {"subject": subject, "style": style}
            if painting is not None:
                on = {label: on[label] for label in [("subject", "style")[painting]]}
            most = {"subject": 0.75 if painting is None else 1, "style": 1}
            parts = {label: strength / most[label] for label, strength in on.items() if strength}
            assert label == (" + ".join(parts) or None)
            assert depth == pytest.approx(sum(parts.values()) / max(1, len(parts)), abs=1e-6)
    colours = dict(zip(found["labels"], found["colours"], strict=True))
    own = {"subject": AMBER, "style": BLUE, "subject + style": GREEN}
    assert colours == {label: own[label] for label in colours} and len(colours) == (
        3 if painting is None else 1
    )


@pytest.mark.parametrize(
    ("now", "is_same"),
    [
        ("UP 1 : 0;", True),
        ("up 1:0", True),
        ("up1: 0", False),
        ("up 1: 0.0", False),
        ("up 1: 0, mid: 1", False),
    ],
)
def test_a_row_that_says_the_same_is_as_it_ran(now, is_same):
    assert drawn(document(blocks=("up 1: 0", "")), [row(blocks=now), None])["asRan"] == is_same


def test_blanks_between_digits_are_said():
    of = document(blocks=("up 11: 0", ""))
    assert not drawn(of, [row(blocks="up 1 1: 0"), None])["asRan"]


@pytest.mark.parametrize(
    "spoil", [{"blocks": "up"}, {"blocks": "up: x"}, {"curve": "up"}, {"start": 0.9, "end": 0.1}]
)
def test_what_can_not_be_read_is_drawn_as_it_ran(spoil):
    found = drawn(document(), [{**row(), **spoil}, None])
    assert found["beyond"] and found["asRan"]


def test_a_document_of_an_older_server_is_drawn_as_it_ran():
    of = document()
    del of["page"]["labels"], of["page"]["colours"]
    assert drawn(of, [None, None])["asRan"] and not drawn(of, [None, None])["beyond"]
    assert drawn(of, [row(blocks="up: 0"), None])["beyond"]
