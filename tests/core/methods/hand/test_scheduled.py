"""As scheduled: who is on when, in which sums, and what of it is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from klora_core.deltas import LowRank, Several, lanes, meet_all
from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo, labels_of
from klora_core.merges import merge, named
from klora_core.methods import AsScheduled, Given, LoraSwitch, Presence, Turns, When, making
from klora_core.methods.hand import MOST_SUMS
from klora_core.names import Slot
from klora_core.page import for_page
from klora_core.picture import draw
from klora_core.plan import make_plan
from klora_core.plan_file import from_json
from klora_core.progress import Moment, in_steps, over_progress
from klora_core.report import text

NAMES = ("input_blocks.1.1.proj_in", "middle_block.1.proj_in", "output_blocks.2.1.proj_in")


def lora(seed, *slots, rank=2):
    g = torch.Generator().manual_seed(seed)
    return {
        Slot(NAMES[i]): LowRank(
            torch.randn(8, rank, generator=g), torch.randn(rank, 8, generator=g), 0.5 + seed
        )
        for i in slots
    }


def planned(loras, when, roles=None, strengths=None):
    roles = roles or ("subject", *("style",) * (len(loras) - 1))
    rows, method = making.as_scheduled()(Given(tuple(loras), tuple(roles), roles, when=tuple(when)))
    infos = [
        LoraInfo(f"{i}", role, strength=1.0 if strengths is None else strengths[i])
        for i, role in enumerate(roles)
    ]
    return rows, make_plan(rows, infos, method)


TWO = (lora(1, 0, 1, 2), lora(2, 1, 2, rank=3))


def test_windows_that_share_no_step_are_lora_switch():
    loras = (lora(1, 0, 1, 2), lora(2, 1, 2), lora(3, 0, 2))
    when = (When(0, 0.25), When(0.25, 0.5), When(0.5, 0.75))
    _, plan = planned(loras, when)
    slots = ((0, 2), (0, 1), (0, 1, 2))
    switch = LoraSwitch(Presence(3, slots), Turns(0.25, "paper"))
    moments = [m for m in in_steps(20).moments if m.x < 0.75]
    assert plan.candidates == ("subject", "style", "style 2")
    for moment in moments:
        assert plan.who(moment).tolist() == switch.who(moment).tolist()


def test_each_slot_has_the_sum_of_its_own_loras():
    _, plan = planned(TWO, (When(0, 0.75), When(0.5, 1, "0:0.5")))
    assert plan.candidates == ("subject", "style 0.5", "subject + style 0.5")
    found = {x: plan.who(Moment(x, 0, 1))[0].tolist() for x in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)}
    early, both, late = [0, 0, 0], [0, 2, 2], [-1, 1, 1]
    assert found == {0.0: early, 0.49: early, 0.5: both, 0.74: both, 0.75: late, 1.0: late}
    assert plan.families == ("subject", "style", "subject + style")


def test_a_lora_alone_has_its_own_colour_and_sums_have_others():
    _, plan = planned((lora(1, 0), lora(2, 0)), (When(), When(0.5, 1, "0.5:0.5, 1:1")))
    assert plan.candidates[0] == "subject" and plan.family_names == ("subject", "subject + style")
    assert plan.family_places == (0, 2) and set(plan.colour_places) == {0, 2}


def test_borders_are_the_starts_and_no_others():
    """Half-open, so that of two windows that meet exactly one is on at every moment."""
    _, plan = planned(TWO, (When(0, 1 / 3), When(1 / 3, 1)))
    for x in (np.nextafter(1 / 3, 0), 1 / 3, np.nextafter(1 / 3, 1)):
        assert plan.who(Moment(float(x), 0, 1))[0].tolist() == ([0, 0, 0] if x < 1 / 3 else [-1, 1, 1])


@pytest.mark.parametrize("strengths", [(1.0, 1.0), (0.7, -1.3)])
def test_two_throughout_are_linear_bit_for_bit(strengths):
    rows, plan = planned(TWO, (), strengths=strengths)
    linear = merge(rows.competing, named("linear"), strengths)
    (who,) = {tuple(plan.who(m)[0].tolist()) for m in in_steps(9).moments}
    for index, row in enumerate(rows.competing):
        scaled = [None if d is None else d.scaled(s) for d, s in zip(row.deltas, strengths, strict=True)]
        (lane,) = lanes(plan.method.candidates(index, scaled))
        mine, wanted = lane[who[index]], linear.deltas[row.slot]
        up, down = mine.tensors
        assert torch.equal(up * mine.scale, wanted.up) and torch.equal(down, wanted.down)


def test_one_throughout_is_its_very_delta():
    rows, plan = planned(TWO[:1], ())
    (delta,) = plan.method.candidates(0, rows.competing[0].deltas)
    assert delta is rows.competing[0].deltas[0]


def test_sums_take_no_memory_before_they_are_shown():
    rows, plan = planned(TWO, (When(0, 1, "0:1, 1:0"), When(0, 1, "0:0, 1:1")))
    (lane,) = lanes(plan.method.candidates(1, rows.competing[1].deltas))
    assert isinstance(plan.method.candidates(1, rows.competing[1].deltas)[-1], Several)
    several = [delta for delta in lane if delta is not None and delta.rank == 5]
    assert len(several) > 10 and not any("up" in vars(delta) for delta in several)
    assert all(delta.outline().up.is_meta for delta in several)
    assert plan.method.memory == (2 * 16 + 5 * 16 + 5 * 16, 96)


def test_curves_come_in_fewer_levels_where_there_would_be_too_many_sums():
    loras = [lora(i, 0, 1) for i in range(6)]
    ramps = [When(0, 1, f"0:1, {0.3 + i / 10}:0.{i}, 1:0.5") for i in range(6)]
    _, plan = planned(loras, ramps)
    assert 2 <= plan.method.levels < 16 and 0 < len(plan.method.sums) <= MOST_SUMS
    assert from_json(plan.to_json(7)) == plan
    passing = [When(i / 80, 0.5 + i / 80) for i in range(40)]
    with pytest.raises(KLoraError, match=r"on together in \d+ different ways, more than 62"):
        planned([lora(i, 0) for i in range(40)], passing)


SCHEDULES = [
    (),
    (When(0, 0.5), When(0.5, 1)),
    (When(0.1, 0.9, "0:1, 0.4:0.6, 1:0"), When(0, 1, "0:0.5")),
    (When(0, 0), When(0.3, 0.3)),
    (When(0, 1, "0:-1, 1:1"), When()),
]


@pytest.mark.parametrize("when", SCHEDULES)
def test_plans_read_back_equal_and_are_drawn(when):
    _, plan = planned(TWO, when)
    again = from_json(plan.to_json(9))
    assert again == plan and again.dumps(9) == plan.dumps(9)
    assert draw(plan, over_progress(12)).size[0] > 100
    words = text(plan, over_progress(30))
    assert "As scheduled" in words and len(words.splitlines()) < 40
    assert for_page(plan, 30).settings["by_hand"]["levels"] == 16


def test_what_is_said():
    _, plan = planned(TWO, SCHEDULES[2])
    facts = {fact.value: fact.meaning for fact in plan.method.facts()}
    assert facts["LoRA 1"].startswith(
        "from 0.1 to 0.9 of the run, times 0:1, 0.4:0.6, 1:0 (16 levels, at most"
    )
    assert facts["LoRA 2"] == "from 0 to 1 of the run, times 0:0.5 (1 level)"
    assert "a step takes up to 2 times what one adds" in facts["2"]
    assert any("at 16 bits for what is on together" in meaning for meaning in facts.values())


def test_a_lora_that_is_never_on_is_said():
    for when, missing in (
        ((When(0, 0.01), When()), ("subject",)),
        ((When(0, 1, "0:0"), When(0.5, 0.5)), ("subject", "style")),
        (SCHEDULES[1], ()),
    ):
        _, plan = planned(TWO, when)
        words = text(plan, in_steps(10))
        for label in ("subject", "style"):
            assert (f"Warning: the {label} LoRA is used nowhere" in words) is (label in missing)


def test_loras_of_the_role_other_take_no_part():
    _, plan = planned(
        (*TWO, lora(4, 0, 1)),
        (When(0, 0.5), When(0.5, 1), When(0, 0.1)),
        (
            "subject",
            "style",
            "other",
        ),
    )
    assert isinstance(plan.method, AsScheduled) and plan.method.present.count == 2
    assert labels_of([info.role for info in plan.loras])[-1] == "other" and plan.loras[-1].alone


def test_reordering_loras_permutes_the_sums_and_nothing_else():
    when = (When(0, 0.75), When(0.5, 1, "0:0.5"))
    rows, plan = planned(TWO, when)
    turned, other = planned(TWO[::-1], when[::-1], ("style", "subject"))
    for moment in in_steps(8).moments:
        for index in range(3):
            one, two = (
                None if who < 0 else dense(p, r, index, who)
                for p, r, who in (
                    (plan, rows, plan.who(moment)[0][index]),
                    (other, turned, other.who(moment)[0][index]),
                )
            )
            assert (one is None) == (two is None)
            if one is not None:
                torch.testing.assert_close(one, two)


def dense(plan, rows, index, who):
    return sum(
        lane[who].dense()
        for lane in lanes(plan.method.candidates(index, rows.competing[index].deltas))
        if lane[who] is not None
    )


def test_meeting_is_that_of_all_loras():
    rows, _ = planned(TWO, ())
    assert [r.slot for r in rows.competing] == [r.slot for r in meet_all(TWO, ("subject", "style")).competing]
