"""LoRA Switch, Composite and CMLoRA: their tables against independent loops, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods import CmLora, LoraComposite, LoraSwitch, Presence, Turns
from klora_core.methods.passes import slow_steps
from klora_core.plan import Plan, PlanSlot
from klora_core.plan_file import from_json
from klora_core.progress import Moment, in_steps

SOME = Presence(3, ((0, 1, 2), (0, 2), (1,), (2,)))
"""Four slots that not every LoRA has."""
ROLES = ("subject", "style", "style")


def whole(count, slots=3):
    return Presence(count, (tuple(range(count)),) * slots)


def active(method, steps):
    return [method.active(moment) for moment in in_steps(steps).moments]


def loop_of_the_code(steps, count, tau):
    """The callback as published: after step k, if k > 0 and k mod tau = 0, the next LoRA."""
    current, seen = 0, []
    for k in range(steps):
        seen.append(current)
        if k > 0 and k % tau == 0:
            current = (current + 1) % count
    return seen


@given(steps=st.integers(1, 60), count=st.integers(1, 5), tau=st.integers(1, 12))
def test_turns_of_steps(steps, count, tau):
    paper = LoraSwitch(whole(count), Turns(tau, "paper"))
    assert active(paper, steps) == [(k % (count * tau)) // tau for k in range(steps)]
    code = LoraSwitch(whole(count), Turns(tau, "code"))
    assert active(code, steps) == loop_of_the_code(steps, count, tau)


@given(turns=st.integers(1, 8), of=st.integers(1, 8), count=st.integers(1, 4))
def test_turns_of_a_part_are_turns_of_steps_where_they_come_out_even(turns, of, count):
    steps, part = turns * of, 1 / turns
    for order in ("paper", "code"):
        by_part = LoraSwitch(whole(count), Turns(float(part), order))
        by_steps = LoraSwitch(whole(count), Turns(of, order))
        assert active(by_part, steps) == active(by_steps, steps)


def test_a_part_of_the_run_follows_the_progress_and_not_the_steps():
    method = LoraSwitch(whole(2), Turns(0.25, "paper"))
    assert [method.active(Moment(x, 0, 9)) for x in (0.0, 0.2, 0.25, 0.49, 0.5, 0.75, 1.0)] == [
        0,
        0,
        1,
        1,
        0,
        1,
        0,
    ]
    assert not method.counts_steps and LoraSwitch(whole(2), Turns(3)).counts_steps


def test_the_reserve_is_the_subjects():
    method = LoraSwitch(whole(3), Turns(2, "paper", reserve=3, last=1))
    assert active(method, 10) == [0, 0, 1, 1, 2, 2, 0, 1, 1, 1]
    assert active(LoraSwitch(whole(3), Turns(2, "paper", reserve=99)), 5) == [0] * 5


def test_a_long_turn_is_the_first_lora_alone():
    alone = LoraSwitch(SOME, Turns(7, "paper"))
    for moment in in_steps(7).moments:
        assert alone.who(moment).tolist() == [[0, 0, -1, -1]]


def test_a_slot_that_a_lora_lacks_is_nobodys_in_its_turn():
    method = LoraSwitch(SOME, Turns(1, "paper"))
    found = np.stack([method.who(moment)[0] for moment in in_steps(3).moments])
    assert found.tolist() == [[0, 0, -1, -1], [1, -1, 1, -1], [2, 2, -1, 2]]
    assert LoraComposite(SOME).who(Moment(0.5, 0, 1)).tolist() == found.tolist()


def test_reordering_permutes_and_changes_nothing_else():
    order = (2, 0, 1)
    slots = tuple(tuple(sorted(order.index(lora) for lora in there)) for there in SOME.slots)
    moved = LoraComposite(Presence(3, slots)).who(Moment(0.5, 0, 1))
    kept = LoraComposite(SOME).who(Moment(0.5, 0, 1))
    for new, old in enumerate(order):
        assert ((moved[new] == new) == (kept[old] == old)).all()


def composite_of_the_code(steps, count, late=(), order="code"):
    """CMLoRA's loop at interval 0, restated: (dominant, weights) of each step; late LoRAs come last."""
    a, b = int(0.375 * steps), int(0.875 * steps)
    slow = sorted({*range(0, a, 2), *range(a, b, 3), *range(b, steps, 2)})
    c = count - 0.5
    w_n = count / (c + count - 1)
    w_d = w_n * c
    real = count - len(late)
    indicator, table = 0, []
    for k in range(steps):
        if k in slow:
            indicator += 1
        if not late or k <= 0.6 * steps:
            dominant = (indicator - 1) % real
        elif order == "code":
            dominant = (indicator - 1) % real + 1
        else:
            dominant = (indicator - 1) % count
        table.append((dominant, [(w_d if i == dominant else w_n) / count for i in range(count)]))
    return table


@settings(deadline=None)
@given(
    steps=st.integers(1, 80),
    count=st.integers(1, 5),
    late=st.booleans(),
    order=st.sampled_from(["code", "paper"]),
)
def test_the_dominant_lora_and_its_weight(steps, count, late, order):
    last = (count - 1,) if late and count > 1 else ()
    method = CmLora(whole(count), None, last, order)
    wanted = composite_of_the_code(steps, count, last, order)
    for moment, (dominant, weights) in zip(in_steps(steps).moments, wanted, strict=True):
        assert method.dominant(moment) == dominant
        assert method.weights(moment) == pytest.approx(weights, abs=1e-12)
        assert sum(method.weights(moment)) == pytest.approx(1, abs=1e-12)


def test_the_papers_numbers_of_two_loras():
    assert CmLora(whole(2)).weights(Moment(0, 0, 20)) == pytest.approx((0.6, 0.4))
    assert slow_steps(16) == (0, 2, 4, 6, 9, 12, 14)


def test_an_even_dominance_is_composite():
    for moment in in_steps(13).moments:
        even = CmLora(whole(3), 1.0).weights(moment)
        assert even == LoraComposite(whole(3)).weights(moment)


def test_all_late_or_none_late_rotate_alike():
    moments = in_steps(20).moments
    plain = [CmLora(whole(3)).dominant(moment) for moment in moments]
    assert [CmLora(whole(3), late=(0, 1, 2)).dominant(moment) for moment in moments] == plain


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Turns(0), "at least 1"),
        (lambda: Turns(True), "at least 1"),
        (lambda: Turns(1.5), "part of the run"),
        (lambda: Turns(float("nan")), "part of the run"),
        (lambda: Turns(2, "papers"), "^Use one of .*: unknown order"),
        (lambda: Turns(2, reserve=-1), "reserve must not be negative"),
        (lambda: CmLora(whole(2), c=0.0), "c must be a positive number"),
        (lambda: CmLora(whole(2), c=float("inf")), "c must be a positive number"),
        (lambda: CmLora(whole(2), order="none"), "^Use one of .*: unknown order"),
    ],
)
def test_numbers_out_of_range(make, words):
    with pytest.raises(KLoraError, match=words):
        make()


METHODS = [
    LoraSwitch(SOME, Turns(3, "paper", 2, 1)),
    LoraSwitch(SOME, Turns(0.2)),
    LoraComposite(SOME),
    CmLora(SOME, 2.0, (1, 2), "paper"),
    CmLora(SOME),
]


@pytest.mark.parametrize("method", METHODS)
def test_plans_read_back_equal(method):
    plan = Plan(
        tuple(LoraInfo(f"{i}.safetensors", role, 3, 0.8) for i, role in enumerate(ROLES)),
        tuple(PlanSlot(f"middle_block.{i}.attn1.to_q", (8, 8)) for i in range(4)),
        ("subject", "style", "style 2"),
        method,
    )
    again = from_json(plan.to_json(9))
    assert again == plan and again.dumps(9) == plan.dumps(9)
    assert plan.to_json(9)["passes"] == len(method.weights(Moment(0.5, 0, 9)))
    assert all(fact.label and fact.value for fact in method.facts())
