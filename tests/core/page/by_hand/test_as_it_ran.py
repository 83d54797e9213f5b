"""The page's maps of LoRAs by hand, for runs of any number of steps, by klora_core's own numbers."""

from __future__ import annotations

import pytest

from klora_core.loras import LoraInfo
from klora_core.methods import AsScheduled, Presence, When
from klora_core.methods.hand import MOST_SUMS
from klora_core.plan import Plan, PlanSlot
from klora_core.progress import in_steps, over_progress
from tests.support.page import evaluate, sent, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SLOTS = ((0, 1, 2), (0, 1), (0, 2), (1, 2), (2,))
SCHEDULES = (
    (When(), When(), When()),
    (When(0, 0.25), When(0.25, 0.5), When(0.75, 1)),
    (When(0.1, 0.7, "0:1, 1:0"), When(0, 1, "0:0.5"), When(0.5)),
    (When(1 / 3), When(0, 1 / 3), When(0, 0)),
    (When(0, 0.5, "0:0, 0.5:-1"), When(0.2, 1, "0.3:1, 0.9:2"), When()),
)


def plan(when) -> Plan:
    method = AsScheduled(Presence(3, SLOTS), when)
    if len(method.sums) > MOST_SUMS:
        method = AsScheduled(Presence(3, SLOTS), when, 6)
    labels = ("subject", "style", "style 2")
    infos = tuple(LoraInfo(label, label.partition(" ")[0]) for label in labels)
    slots = tuple(PlanSlot(f"middle_block.{i}.attn1.to_q", (8, 8)) for i in range(len(SLOTS)))
    return Plan(infos, slots, method.labels(labels), method)


def ask(p: Plan, steps: int | None) -> dict:
    known = {"mode": "auto" if steps else "noise level", "run": None, "resolution": 30}
    known["sampler"] = {"steps": steps, "whole": steps is not None}
    return {"task": "decide", "document": sent(p, 30), "known": known}


def test_runs_of_any_length():
    cases = [(plan(when), steps) for when in SCHEDULES for steps in (1, 2, 7, 20, 47, None)]
    found = evaluate([ask(p, steps) for p, steps in cases])
    for (p, steps), shown in zip(cases, found, strict=True):
        columns = in_steps(steps) if steps else over_progress(30)
        assert shown["rows"] == p.choices(columns)[0].tolist(), (p.method.when, steps)
        assert not shown["supposed"] and shown["facts"] == sent(p, 30)["facts"]


def test_what_is_on_together_has_one_colour_the_paler_the_less():
    p = plan(SCHEDULES[2])
    candidates = sent(p, 30)["candidates"]
    assert len({c["letter"] for c in candidates}) == len(candidates) > 12
    assert {c["family"] for c in candidates} == set(p.families)
    alone = [c for c in candidates if c["family"] == "subject"]
    assert len({c["dark"] for c in alone}) == len(alone) > 4
    assert alone[0]["dark"] == "#fbc14e", "the strongest in its own colour"
    assert all("family" not in c for c in sent(plan(SCHEDULES[1]), 30)["candidates"])


def test_a_document_that_lacks_what_is_needed_is_no_map():
    for spoil in (
        lambda d: d.pop("by_hand"),
        lambda d: d["by_hand"].pop("borders"),
        lambda d: d["by_hand"].update(pieces=[]),
        lambda d: d["by_hand"]["sums"].pop(),
        lambda d: d["by_hand"].update(borders=[0.5]),
        lambda d: d["slots"][0].pop("there"),
        lambda d: d.update(passes=2),
    ):
        spoiled = ask(plan(SCHEDULES[2]), 8)
        spoil(spoiled["document"])
        assert evaluate([spoiled]) == [None]
