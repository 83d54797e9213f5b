"""Eq. 10 at its edges, gamma's modes, and the JSON form."""

from __future__ import annotations

import json
import math

import pytest

from klora_core.errors import KLoraError
from klora_core.methods.klora import gamma, make_plan
from klora_core.plan import LoraInfo, ScoredSlot, Unmatched, from_json, with_schedule
from klora_core.schedules import make_schedule

FLAT = make_schedule("s", alpha=0.0, beta=1.0)


def slot(score_subject, score_style, *, l1=None, name="a"):
    l1_subject, l1_style = l1 or (score_subject, score_style)
    return ScoredSlot(name, (4, 4), 2, 3, 6, score_subject, score_style, l1_subject, l1_style)


def plan(*slots, schedule=FLAT, mode="none"):
    return make_plan(slots, schedule, mode, subject=LoraInfo("c"), style=LoraInfo("s"))


@pytest.mark.parametrize(
    ("subject", "style", "letter"),
    [(1.0, 1.0, "c"), (1.0, 1.0 + 1e-12, "s"), (0.0, 1.0, "s"), (1.0, 0.0, "c"), (0.0, 0.0, "c")],
)
def test_ties_and_zeros(subject, style, letter):
    assert plan(slot(subject, style)).to_json(2)["slots"][0]["choice"] == letter * 2


def test_a_zero_subject_loses_even_where_the_schedule_is_zero():
    nothing = make_schedule("s", alpha=0.0, beta=0.0)
    assert plan(slot(0.0, 1.0), schedule=nothing).choices(3).tolist() == [[1, 1, 1]]


def test_s_flips_each_slot_at_most_once_and_at_the_known_progress():
    slots = [slot(rho, 1.0) for rho in (0.1, 0.6, 1.0, 1.7, 3.0)]
    found = plan(*slots, schedule=make_schedule("s")).choices(100)
    for rho, row in zip((0.1, 0.6, 1.0, 1.7, 3.0), found, strict=True):
        first_style = (rho - 0.5) / 1.5
        assert row.tolist() == [int((i + 0.5) / 100 > first_style) for i in range(100)]


def test_s_star_starts_with_the_style_and_comes_back_to_the_subject():
    letters = plan(slot(1.0, 1.0), schedule=make_schedule("s*")).to_json(15)["slots"][0]["choice"]
    assert letters == "ss" + "c" * 10 + "sss"


def test_gamma_modes():
    slots = [slot(1, 1, l1=(2.0, 1.0)), slot(1, 1, l1=(1.0, 1.0)), slot(1, 1, l1=(3.0, 4.0))]
    assert gamma(slots, "paper").value == 1.0
    assert gamma(slots, "reference").value == pytest.approx((2 + 1 + 0.75) / 3)
    assert gamma(slots, "none").value == 1.0


def test_reference_gamma_drops_ratios_of_three_means():
    slots = [slot(1, 1, l1=(r, 1.0)) for r in (1.0, 1.0, 1.0, 97.0)]
    assert gamma(slots, "reference").value == 1.0
    assert gamma(slots, "paper").value == 25.0


def test_swapping_the_loras_inverts_the_papers_gamma():
    slots = [slot(1, 1, l1=(2.0, 7.0)), slot(1, 1, l1=(5.0, 1.0))]
    swapped = [slot(1, 1, l1=(s.l1_style, s.l1_subject)) for s in slots]
    assert gamma(slots, "paper").value == pytest.approx(1 / gamma(swapped, "paper").value)


def test_gamma_without_a_style_or_slots():
    for mode in ("paper", "reference"):
        assert gamma([slot(1, 0, l1=(1.0, 0.0))], mode).value == 1.0
        assert gamma([], mode).value == 1.0
    with pytest.raises(KLoraError, match="Unknown gamma mode"):
        gamma([], "papers")


@pytest.mark.parametrize("steps", [0, -3])
def test_steps_below_one(steps):
    with pytest.raises(KLoraError, match="steps must be at least 1"):
        plan(slot(1, 1)).choices(steps)


def test_shares():
    found = plan(slot(1.0, 2.0), slot(2.0, 1.0), slot(1.0, 3.0), slot(1.0, 9.0)).shares(3)
    assert found.tolist() == [0.75] * 3
    assert plan().shares(3).tolist() == [0.0] * 3


def test_json_round_trip():
    first = make_plan(
        [slot(1.25, 0.5, name="x[0:8]"), slot(1.0, 0.0), slot(0.0, 2.0)],
        make_schedule("s*", balance=-0.5),
        "paper",
        subject=LoraInfo("cat, é.safetensors", 3, 0.8),
        style=LoraInfo("s", 4),
        unmatched=Unmatched(("u1", "u2"), ("v",)),
    )
    text = first.dumps(12)
    again = from_json(json.loads(text))
    assert again == first
    assert again.dumps(12) == text
    assert json.loads(text)["slots"][1]["rho"] is None


@pytest.mark.parametrize(
    "document", [{}, {"schema": "klora-plan/2"}, {"schema": "klora-plan/1", "gamma": {}}]
)
def test_other_documents_are_refused(document):
    with pytest.raises(KLoraError):
        from_json(document)


def test_another_schedule_needs_no_new_scores():
    first = plan(slot(1.0, 1.0))
    again = with_schedule(first, make_schedule("s"))
    assert again.slots is first.slots
    assert math.isclose(again.schedule.scale(0.0), 0.5)
