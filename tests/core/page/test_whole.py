"""The page's maps of whole LoRAs, for runs of any number of steps, by klora_core's own numbers."""

from __future__ import annotations

import json

import pytest

from klora_core.loras import LoraInfo
from klora_core.methods import ORDERS, CmLora, LoraComposite, LoraSwitch, Presence, Turns
from klora_core.plan import Plan, PlanSlot
from klora_core.progress import Columns, Moment, Progress, in_steps, over_progress
from tests.support.page import evaluate, sent, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

RESOLUTION = 30
STEPS = (1, 2, 3, 7, 8, 20, 30, 47, 100)
TAUS = (1, 3, 5, 31, 0.25, 1 / 3, 0.1, 1.0)
# One LoRA lacks each slot but the first; one slot is nobody's but the third's.
SLOTS = ((0, 1, 2), (0, 1), (0, 2), (1, 2), (2,))


def plan(method, mode: str = "auto") -> Plan:
    count = method.present.count
    labels = ("subject", *("style", "style 2")[: count - 1])
    infos = tuple(LoraInfo(label, "style" if i else "subject") for i, label in enumerate(labels))
    slots = tuple(PlanSlot(f"middle_block.{i}.attn1.to_q", (8, 8)) for i in range(len(method.present.slots)))
    return Plan(infos, slots, labels, method, Progress(mode))


def presence(count: int) -> Presence:
    return Presence(count, tuple(tuple(i for i in slot if i < count) for slot in SLOTS))


def switches():
    for count in (2, 3):
        for tau in TAUS:
            for order in ORDERS:
                for reserve in (0, 4):
                    yield LoraSwitch(presence(count), Turns(tau, order, reserve, count - 1))


def page(plan: Plan, known: dict) -> dict:
    whole = sent(plan, RESOLUTION)
    assert all("choice" not in slot for slot in whole["slots"])
    return {"task": "decide", "document": whole, "known": {**known, "resolution": RESOLUTION}}


def whole(steps: int) -> dict:
    return {"mode": "auto", "sampler": {"steps": steps, "whole": True}, "run": None}


def rows(plan: Plan, columns: Columns) -> list[list[int]]:
    """A slot's choices, its passes side by side in each column."""
    return plan.choices(columns).transpose(1, 2, 0).reshape(len(plan.slots), -1).tolist()


def test_a_switch_of_any_length():
    cases = [(plan(method), in_steps(steps), whole(steps)) for method in switches() for steps in STEPS]
    found = evaluate([page(p, known) for p, _, known in cases])
    for (p, columns, _), shown in zip(cases, found, strict=True):
        assert shown["kind"] == "steps" and shown["xs"] == [m.x for m in columns.moments]
        assert shown["rows"] == rows(p, columns), (p.method.turns, len(columns))
    assert len({json.dumps(shown["rows"]) for shown in found}) > 100


@pytest.mark.parametrize("parts", [(9,), (4, 7), (3, 5, 2)])
def test_a_run_and_the_parts_of_a_split_one_count_their_own_steps(parts):
    """Progress by noise level over all of them, steps anew in each."""
    total = sum(parts)
    xs = [((i + 0.5) / total) ** 1.3 for i in range(total)]
    counted = [(step, steps) for steps in parts for step in range(steps)]
    columns = Columns(tuple(Moment(x, *each) for x, each in zip(xs, counted, strict=True)))
    starts = [sum(parts[:i]) for i in range(len(parts))]
    told = [{"mode": "noise level", "x": xs[a : a + n]} for a, n in zip(starts, parts, strict=True)]
    (joined,) = evaluate([{"task": "joined", "runs": told}])
    known = {"mode": "auto", "sampler": {"steps": None, "whole": False}, "run": joined["run"]}
    plans = [plan(method) for method in switches()]
    for p, shown in zip(plans, evaluate([page(p, known) for p in plans]), strict=True):
        assert shown["rows"] == rows(p, columns), p.method.turns
        assert shown["facts"] == sent(p, RESOLUTION)["facts"]
        assert not shown["supposed"]


@pytest.mark.parametrize("mode", ["auto", "noise level"])
def test_without_known_steps_a_supposed_run_is_shown_and_said_so(mode):
    known = {"mode": mode, "sampler": {"steps": None, "whole": False}, "run": None}
    plans = [plan(method, mode) for method in switches()]
    for p, shown in zip(plans, evaluate([page(p, known) for p in plans]), strict=True):
        columns = in_steps(RESOLUTION) if p.method.counts_steps else over_progress(RESOLUTION)
        assert shown["kind"] == ("steps" if p.method.counts_steps else "progress")
        assert shown["rows"] == rows(p, columns)
        assert shown["supposed"] == p.method.counts_steps


@pytest.mark.parametrize("make", [LoraComposite, CmLora])
def test_passes_of_any_length(make):
    for count in (2, 3):
        p = plan(make(presence(count)))
        asks = [(in_steps(steps), whole(steps)) for steps in STEPS]
        asks.append(
            (
                over_progress(RESOLUTION),
                {"mode": "noise level", "sampler": {"steps": 9, "whole": False}, "run": None},
            )
        )
        found = evaluate([page(p, known) for _, known in asks])
        for (columns, _), shown in zip(asks, found, strict=True):
            assert shown["kind"] == ("steps" if columns.are_steps else "progress")
            assert shown["rows"] == rows(p, columns)


def test_a_document_that_lacks_what_is_needed_is_no_map():
    (whole_plan,) = [plan(LoraSwitch(presence(3), Turns(5)))]
    for spoil in (
        lambda d: d.pop("turns"),
        lambda d: d.pop("turn_unit"),
        lambda d: d["turns"].update(order="mine"),
        lambda d: d["turns"].update(tau=0),
        lambda d: d["turns"].update(last=3),
        lambda d: d["slots"][0].pop("loras"),
        lambda d: d["slots"][0].update(loras=["stranger"]),
        lambda d: d.update(passes=2),
    ):
        ask = page(whole_plan, whole(8))
        spoil(ask["document"])
        assert evaluate([ask]) == [None]
