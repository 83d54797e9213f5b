"""The page computes K-LoRA's decisions as klora_core does, to the last slot, by klora_core's own numbers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from klora_core.methods.klora import GAMMA_MODES, make_schedule
from klora_core.methods.klora.schedule import Schedule
from klora_core.methods.klora.share import balance_for
from klora_core.plan import Plan
from klora_core.progress import Columns, Moment, Progress, in_steps, over_progress
from tests.support import page
from tests.support.page import evaluate, why_not
from tests.support.plans import evidence, klora_plan, with_method

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SCHEDULES = [("s", 1.5, 0.5), ("s*", 1.5, 1.3), ("s", 0.0, 1.0), ("s*", 0.7, 2.05), ("s*", 0.3, 0.9)]
BALANCES = (-1.0, -0.35, 0.0, 0.6, 1.0)
STEPS = (1, 2, 7, 30)
# As a karras run at denoise 0.6 counts, for one: no even steps.
UNEVEN = (0.41, 0.4403, 0.52, 0.683, 0.905)
RESOLUTION = 30


def made_up(count: int = 240, mode: str = "paper") -> Plan:
    """A plan with every rule's edge in it: zero subject, zero style, both zero, equal LoRAs."""
    rng = random.Random(7)
    slots = {}
    for i in range(count):
        one, other = rng.lognormvariate(0, 0.5), rng.lognormvariate(0, 0.3)
        one, other = {0: (0.0, other), 1: (one, 0.0), 2: (0.0, 0.0), 3: (1.0, 1.0)}.get(i % 40, (one, other))
        name = f"output_blocks.{i // 100}.1.transformer_blocks.{i % 100}.attn1.to_q"
        slots[name] = evidence(one, other, l1=(90 * one, 80 * other), k=32)
    return klora_plan(slots, make_schedule("s"), mode)


def sent(plan: Plan) -> dict[str, Any]:
    """The document as the page gets it."""
    return page.sent(plan, RESOLUTION)


def wanted() -> Iterator[tuple[dict[str, Any], Columns]]:
    """What the page is asked for, and the columns that it should find."""
    for steps in STEPS:
        known = {"mode": "auto", "sampler": {"steps": steps, "whole": True}, "run": None}
        yield known, in_steps(steps)
    yield (
        {"mode": "noise level", "sampler": {"steps": 9, "whole": False}, "run": None},
        over_progress(RESOLUTION),
    )
    own = Columns(tuple(Moment(x, i, len(UNEVEN)) for i, x in enumerate(UNEVEN)))
    run = {"mode": "noise level", "x": list(UNEVEN)}
    yield {"mode": "auto", "sampler": {"steps": 9, "whole": True}, "run": run}, own


def check(plan: Plan, found: dict[str, Any], over: Columns) -> None:
    assert found["kind"] == ("steps" if over.are_steps else "progress")
    assert found["xs"] == [moment.x for moment in over.moments]
    assert found["rows"] == plan.choices(over)[0].tolist()
    for mine, theirs in zip(found["shares"], plan.shares(over).tolist(), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-12)
    rhos, xs = plan.method.rhos, [moment.x for moment in over.moments]
    assert found["even"] == [balance_for(rhos, plan.method.schedule, xs, share) for share in (0.3, 0.5, 0.7)]
    assert found["course"] == plan.method.course(over)[0].split(";")[0]
    scales = [plan.method.scale(moment.x) for moment in over.moments]
    assert found["scales"] == pytest.approx(scales, rel=1e-12, abs=0)


@pytest.mark.parametrize("mode", GAMMA_MODES)
def test_other_settings_give_what_the_core_gives(mode):
    ran = made_up()
    cases = []
    for name, alpha, beta in SCHEDULES:
        for balance in BALANCES:
            plan = with_method(ran, schedule=Schedule(name, alpha, beta, balance), gamma_mode=mode)
            widgets = {"schedule": name, "schedule.alpha": alpha, "schedule.beta": beta}
            widgets |= {"balance": balance, "gamma": mode}
            cases += [(plan, widgets, known, over) for known, over in wanted()]
    whole = sent(ran)
    results = evaluate(
        [
            {
                "task": "decide",
                "document": whole,
                "widgets": widgets,
                "known": {**known, "resolution": RESOLUTION},
            }
            for _, widgets, known, _ in cases
        ]
    )
    assert len(results) == len(SCHEDULES) * len(BALANCES) * (len(STEPS) + 2)
    for (plan, _, _, over), found in zip(cases, results, strict=True):
        check(plan, found, over)


@pytest.mark.parametrize("mode", GAMMA_MODES)
def test_the_settings_of_the_document_are_the_ones_that_ran(mode):
    ran = with_method(made_up(mode=mode), schedule=make_schedule("s*", balance=0.25))
    known, over = next(wanted())
    ask = {"task": "decide", "document": sent(ran), "known": {**known, "resolution": RESOLUTION}}
    same, moved, other = evaluate(
        [ask, {**ask, "widgets": {"balance": 0.3}}, {**ask, "widgets": {"schedule": "s"}}]
    )
    check(ran, same, over)
    assert (same["asRan"], moved["asRan"], other["asRan"]) == (True, False, False)
    # Another schedule comes with its own defaults, here Python's.
    check(with_method(ran, schedule=make_schedule("s", balance=0.25)), other, over)


def test_a_style_of_zero_has_an_infinite_gamma_nowhere_and_subjects_everywhere():
    plan = klora_plan([evidence(1.0, 0.0), evidence(0.0, 0.0)], make_schedule("s"), "paper")
    known, over = next(wanted())
    (found,) = evaluate(
        [{"task": "decide", "document": sent(plan), "known": {**known, "resolution": RESOLUTION}}]
    )
    check(plan, found, over)
    assert found["facts"] == ["gamma 1 (paper)"]


def test_a_live_document_holds_nothing_that_the_page_works_out():
    found = sent(replace(made_up(40), progress=Progress("noise level")))
    assert found["method"]["live"] is True
    assert all("choice" not in slot and "rho" not in slot for slot in found["slots"])
