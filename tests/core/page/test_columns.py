"""Which columns the page draws, and how it reads a document of any method."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.browser.documents import recorded
from tests.support.page import evaluate, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

WHOLE, PART, UNKNOWN = ({"steps": 12, "whole": w} for w in (True, False, False))
UNKNOWN["steps"] = None
STEPS_RUN = {"mode": "steps", "x": [(i + 0.5) / 5 for i in range(5)]}
NOISE_RUN = {"mode": "noise level", "x": [0.1, 0.35, 0.4, 0.8]}


def known(mode: str, sampler: dict, run: dict | None = None) -> dict[str, Any]:
    return {"mode": mode, "sampler": sampler, "run": run, "resolution": 30}


def middles(count: int) -> list[float]:
    return [(i + 0.5) / count for i in range(count)]


@pytest.mark.parametrize(
    ("mode", "sampler", "kind", "count"),
    [
        ("steps", WHOLE, "steps", 12),
        ("steps", PART, "steps", 12),
        ("steps", UNKNOWN, "progress", 30),
        ("auto", WHOLE, "steps", 12),
        ("auto", PART, "progress", 30),
        ("auto", UNKNOWN, "progress", 30),
        ("noise level", WHOLE, "progress", 30),
    ],
)
def test_steps_are_drawn_only_where_they_are_known(mode, sampler, kind, count):
    (found,) = evaluate([{"task": "columns", "known": known(mode, sampler)}])
    assert (found["kind"], found["run"]) == (kind, None)
    assert found["xs"] == middles(count)


@pytest.mark.parametrize("run", [STEPS_RUN, NOISE_RUN], ids=lambda run: run["mode"])
@pytest.mark.parametrize("mode", ["auto", "steps", "noise level"])
def test_a_runs_own_columns_come_before_any_other(mode, run):
    (found,) = evaluate([{"task": "columns", "known": known(mode, WHOLE, run)}])
    assert found == {"kind": "steps", "count": len(run["x"]), "xs": run["x"], "run": run["mode"]}


def test_parts_of_a_split_run_stand_one_behind_the_other():
    high, low = {"mode": "noise level", "x": [0.1, 0.3]}, {"mode": "noise level", "x": [0.5, 0.9]}
    again = {"mode": "steps", "x": [0.25, 0.75]}
    found = evaluate(
        [{"task": "joined", "runs": runs} for runs in ([], [high], [high, low], [low, high], [again, again])]
    )
    assert found[0] is None
    assert found[1] == {"run": high, "first": 0}
    assert found[2] == {
        "run": {"mode": "noise level", "x": [0.1, 0.3, 0.5, 0.9], "parts": [2, 2]},
        "first": 2,
    }
    assert found[3] == {"run": high, "first": 0}
    assert found[4] == {"run": again, "first": 0}


def test_a_run_is_forgotten_with_the_settings_it_ran_with():
    told = {"run": NOISE_RUN, "mode": "auto", "shape": "denoise 0.6"}
    asks = [["auto", "denoise 0.6"], ["steps", "denoise 0.6"], ["auto", "denoise 0.7"]]
    later = {"run": STEPS_RUN, "mode": "auto", "shape": "denoise 0.6"}
    one, other = evaluate(
        [
            {"task": "runs", "events": [told], "asks": asks},
            {"task": "runs", "events": [told, {"begin": True}, later], "asks": asks},
        ]
    )
    assert one == [NOISE_RUN, None, None]
    assert other == [STEPS_RUN, None, None]


def test_names_within_their_blocks():
    cases = {
        ("input_blocks.4.1.attn1.to_q.weight", "down 4"): "1.attn1.to_q",
        ("middle_block.1.attn2.to_out.0", "mid"): "1.attn2.to_out.0",
        ("double_blocks.0.img_attn.qkv[0:3072]", "double 0"): "img_attn.qkv[0:3072]",
        ("time_embed.0", "time_embed"): "0",
        ("txt_in.weight", "txt_in"): "txt_in",
    }
    tasks = [{"task": "nameInBlock", "slot": {"name": n, "block": b}} for n, b in cases]
    assert evaluate(tasks) == list(cases.values())


def who(slot: int, column: int, each: int) -> int:
    """Three candidates, two passes, nobody now and then."""
    return (slot + 2 * column + each) % 4 - 1


def test_a_recorded_document_is_drawn_as_it_stands():
    document = recorded(who, candidates=3, passes=2, steps=8)
    cells = [[who(s, c, p) for c in range(8) for p in range(2)] for s in range(len(document["slots"]))]
    same, other, run = evaluate(
        [
            {"task": "decide", "document": document, "known": asked}
            for asked in (
                known("steps", {"steps": 8, "whole": True}),
                known("steps", WHOLE),
                known("auto", WHOLE, NOISE_RUN),
            )
        ]
    )
    for found, kind in ((same, "steps"), (other, "progress"), (run, "progress")):
        assert found["kind"] == kind
        assert found["xs"] == middles(8)
        assert found["rows"] == cells
    for candidate, share in enumerate(same["shares"]):
        for column in range(8):
            held = [row[2 * column + p] for row in cells for p in range(2)]
            assert share[column] == pytest.approx(held.count(candidate) / len(held), abs=1e-15)


def test_a_method_that_counts_steps_is_drawn_over_the_steps_it_was_asked_for():
    document = recorded(lambda slot, column, each: column % 2, steps=8)
    document["method"]["counts_steps"] = True
    own, other = evaluate(
        [
            {"task": "decide", "document": document, "known": known("steps", {"steps": steps, "whole": True})}
            for steps in (8, 12)
        ]
    )
    assert own["rows"] == other["rows"] == [[c % 2 for c in range(8)]] * len(document["slots"])
    assert own["kind"] == other["kind"] == "steps"
    assert own["facts"] == document["facts"]
    assert other["facts"] == document["facts"]
    assert (own["supposed"], other["supposed"]) == (False, True)


def test_stretches_cover_a_slot_and_change_hands_at_their_ends():
    document = recorded(lambda slot, column, each: (column // (2 + slot % 3)) % 2, steps=12)
    (found,) = evaluate([{"task": "decide", "document": document, "known": known("steps", WHOLE)}])
    for row, stretches in zip(found["rows"], found["stretches"], strict=True):
        told = [w for s in stretches for w in s["winners"] * (s["last"] - s["first"] + 1)]
        assert told == row
        assert all(a["winners"] != b["winners"] for a, b in zip(stretches, stretches[1:], strict=False))


def broken(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Documents that hold too little or too much for a map."""
    cases: dict[str, Any] = {}
    for key in ("schema", "method", "progress", "passes", "loras", "candidates", "facts", "slots", "page"):
        cases[f"no {key}"] = copy.deepcopy(document)
        del cases[f"no {key}"][key]
    for name, change in {
        "a choice too short": lambda d: d["slots"][3].update(choice="cc"),
        "no choice": lambda d: d["slots"][3].pop("choice"),
        "a letter of nobody's": lambda d: d["slots"][3].update(choice="cz" + d["slots"][3]["choice"][2:]),
        "a pass too many": lambda d: d["slots"][3].update(choice="/".join([d["slots"][3]["choice"]] * 2)),
        "a slot without block": lambda d: d["slots"][3].pop("block"),
        "a colour that is none": lambda d: d["candidates"][0].update(dark="amber"),
        "no palette": lambda d: d["page"].pop("palette"),
        "live, yet unknown here": lambda d: (d["method"].update(live=True), d["slots"][0].pop("choice")),
    }.items():
        cases[name] = copy.deepcopy(document)
        change(cases[name])
    return cases


def test_a_document_that_does_not_suffice_is_ignored():
    document = recorded(lambda slot, column, each: slot % 2, steps=12)
    cases = broken(document)
    tasks = [
        {"task": "decide", "document": each, "known": known("auto", WHOLE)}
        for each in (document, *cases.values())
    ]
    whole, *found = evaluate(tasks)
    assert whole is not None
    assert [name for name, result in zip(cases, found, strict=True) if result is not None] == []
