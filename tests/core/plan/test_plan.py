"""Eq. 10 at its edges, gamma's modes, several LoRAs of a role, and the plan of any method."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo, labels_of
from klora_core.methods.klora import KLora, make_schedule
from klora_core.methods.klora.choice import gamma
from klora_core.plan import Plan
from klora_core.progress import Moment, in_steps
from tests.support.plans import ROLES, choices, evidence, klora_plan, with_method

FLAT = make_schedule("s", alpha=0.0, beta=1.0)


def letters(plan, steps):
    return ["".join("cs"[c] for c in row) for row in choices(plan, steps)]


@pytest.mark.parametrize(
    ("subject", "style", "letter"),
    [(1.0, 1.0, "c"), (1.0, 1.0 + 1e-12, "s"), (0.0, 1.0, "s"), (1.0, 0.0, "c"), (0.0, 0.0, "c")],
)
def test_ties_and_zeros(subject, style, letter):
    assert letters(klora_plan([evidence(subject, style)], FLAT), 2) == [letter * 2]


def test_a_zero_subject_loses_even_where_the_schedule_is_zero():
    nothing = make_schedule("s", alpha=0.0, beta=0.0)
    assert choices(klora_plan([evidence(0.0, 1.0)], nothing), 3).tolist() == [[1, 1, 1]]


def test_s_flips_each_slot_at_most_once_and_at_the_known_progress():
    rhos = (0.1, 0.6, 1.0, 1.7, 3.0)
    found = choices(klora_plan([evidence(rho, 1.0) for rho in rhos]), 100)
    for rho, row in zip(rhos, found, strict=True):
        first_style = (rho - 0.5) / 1.5
        assert row.tolist() == [int((i + 0.5) / 100 > first_style) for i in range(100)]


def test_s_star_starts_with_the_style_and_comes_back_to_the_subject():
    assert letters(klora_plan([evidence(1.0, 1.0)], make_schedule("s*")), 15) == ["ss" + "c" * 10 + "sss"]


def test_gamma_modes():
    slots = [*((2.0, 1.0), (1.0, 1.0), (3.0, 4.0))]
    assert gamma(slots, "paper") == 1.0
    assert gamma(slots, "reference") == pytest.approx((2 + 1 + 0.75) / 3)
    assert gamma(slots, "none") == 1.0


def test_reference_gamma_drops_ratios_of_three_means():
    slots = [(r, 1.0) for r in (1.0, 1.0, 1.0, 97.0)]
    assert gamma(slots, "reference") == 1.0
    assert gamma(slots, "paper") == 25.0


def test_swapping_the_loras_inverts_the_papers_gamma():
    slots = [*((2.0, 7.0), (5.0, 1.0))]
    assert gamma(slots, "paper") == pytest.approx(1 / gamma([sums[::-1] for sums in slots], "paper"))


def test_reference_gamma_drops_a_ratio_of_just_three_means():
    slots = [(r, 1.0) for r in (6.0, 1.0, 1.0, 0.0)]
    assert gamma(slots, "reference") == pytest.approx(2 / 3)


def test_gamma_of_small_sums_is_their_ratio():
    assert gamma([(0.2, 0.4)], "paper") == 0.5


def test_reference_gamma_of_a_subject_that_is_zero_everywhere():
    assert gamma([(0.0, 1.0)] * 3, "reference") == 1.0


def test_a_reference_gamma_of_zero_leaves_the_choice_to_the_zeros():
    """All that it keeps are slots of a zero subject: a plan, a document and words all the same."""
    slots = [evidence(3, 1), evidence(0, 1), evidence(0, 1)]
    plan = klora_plan(slots, FLAT, "reference")
    assert plan.method.gamma == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert letters(plan, 1) == ["c", "s", "s"]
    assert plan.to_json(1)["slots"][0]["rho"] is None
    assert "zero in every competing layer that this gamma counts" in plan.method.facts()[1].meaning


def test_gamma_of_the_first_subject_and_the_first_style():
    slot = evidence(0, 0)._replace(ranks=(2,) * 4, scores=(1.0,) * 4, l1=(8.0, 2.0, 5.0, 4.0))
    method = KLora(FLAT, "none", ("other", "subject", "subject", "style"), (slot,))
    assert method.gamma_of("paper") == 0.5
    assert method.curve() == "S" and KLora(make_schedule("s*"), "none", ROLES, ()).curve() == "S*"


def test_a_role_of_zeros_has_a_leader_and_warns_of_nothing():
    method = three_styles([(1, 0, 0, 0), (0, 0, 0, 2)], "paper")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert method.who(Moment(0.5, 0, 1)).tolist() == [[0, 3]]
        assert three_styles([(0, 1, 2, 3)], "paper").who(Moment(0.5, 0, 1)).tolist() == [[1]]


def test_a_subject_that_is_zero_everywhere_leads_nowhere():
    slot = evidence(0, 0)._replace(ranks=(2,) * 3, scores=(0.0, 0.5, 1.0), l1=(0.0, 9.0, 9.0))
    low = make_schedule("s", alpha=0.0, beta=0.1)
    method = KLora(low, "paper", ("subject", "subject", "style"), (slot,))
    assert method.who(Moment(0.5, 0, 1)).tolist() == [[1]]


def test_gamma_without_a_style_or_slots():
    for mode in ("paper", "reference"):
        assert gamma([(1.0, 0.0)], mode) == 1.0
        assert gamma([], mode) == 1.0
    with pytest.raises(KLoraError, match="^Use one of .*: unknown gamma mode"):
        gamma([], "papers")
    with pytest.raises(KLoraError, match="^Use one of .*: unknown gamma mode"):
        klora_plan([], mode="papers")


@pytest.mark.parametrize("value", [math.nan, "1", None, True])
def test_numbers_of_a_schedule_are_numbers(value):
    with pytest.raises(KLoraError, match="finite number"):
        klora_plan([], make_schedule("s", balance=value))


def three_styles(scores, mode="none", l1=None):
    """One subject against three styles; ``scores`` are rows of four."""
    slots = tuple(
        evidence(0, 0)._replace(ranks=(2,) * 4, scores=tuple(row), l1=tuple(total))
        for row, total in zip(scores, l1 or scores, strict=True)
    )
    return KLora(FLAT, mode, ("subject", "style", "style", "style"), slots)


def test_of_several_styles_the_strongest_in_a_slot_competes():
    method = three_styles([(5, 1, 2, 3), (2.5, 1, 2, 3), (2.5, 1, 3, 2), (0, 0, 0, 0), (1, 2, 0, 0)])
    assert method.who(Moment(0.5, 0, 1)).tolist() == [[0, 3, 2, 0, 1]]


def test_styles_of_different_sizes_compete_at_the_size_that_gamma_gives_them():
    """A style that is a thousand times as large leads nowhere by that alone."""
    scores = np.array([(4.0, 3.0, 1.0, 1.0), (1.0, 1.0, 3.0, 1.0), (1.0, 2.0, 1.0, 9.0)])
    even = three_styles(scores.tolist(), "paper").who(Moment(0.5, 0, 1))
    uneven = three_styles((scores * (1, 1000, 1, 1)).tolist(), "paper").who(Moment(0.5, 0, 1))
    assert even.tolist() == uneven.tolist() == [[0, 2, 3]]


def literal_choice(row, totals, scale):
    """Several LoRAs of a role, restated: each at its size, the strongest of each role, then Eq. 10."""
    sizes = [score / total for score, total in zip(row, totals, strict=True)]
    subject, style = max((0, 1), key=lambda i: sizes[i]), max((2, 3, 4), key=lambda i: sizes[i])
    return subject if sizes[subject] >= scale * sizes[style] else style


def test_two_subjects_and_three_styles_against_a_literal_oracle():
    rng = np.random.default_rng(3)
    scores = np.exp(rng.normal(size=(200, 5)))
    l1 = scores * np.exp(rng.normal(size=(200, 5)) / 4)
    slots = tuple(
        evidence(0, 0)._replace(ranks=(2,) * 5, scores=tuple(a), l1=tuple(b))
        for a, b in zip(scores, l1, strict=True)
    )
    method = KLora(make_schedule("s"), "paper", ("subject",) * 2 + ("style",) * 3, slots)
    for step in range(7):
        moment = in_steps(7).moments[step]
        wanted = [literal_choice(row, l1.sum(axis=0), method.scale(moment.x)) for row in scores]
        assert method.who(moment)[0].tolist() == wanted


@pytest.mark.parametrize("steps", [0, -3])
def test_steps_below_one(steps):
    with pytest.raises(KLoraError, match="steps must be at least 1"):
        choices(klora_plan([evidence(1, 1)]), steps)


def test_shares():
    rows = [evidence(1.0, 2.0), evidence(2.0, 1.0), evidence(1.0, 3.0), evidence(1.0, 9.0)]
    assert klora_plan(rows, FLAT).shares(in_steps(3)).tolist() == [[0.25] * 3, [0.75] * 3]
    assert klora_plan([], FLAT).shares(in_steps(3)).tolist() == [[0.0] * 3] * 2


def test_loras_of_a_role_are_numbered():
    assert labels_of(["subject", "style", "style", "other"]) == ("subject", "style", "style 2", "other")


def test_another_choice_for_other_layers():
    with pytest.raises(KLoraError, match="other layers"):
        klora_plan([], other_layers="lose")


def test_plans_compare_by_what_they_decide():
    one, other = (klora_plan([evidence(1.0, 1.0)]) for _ in range(2))
    assert one == other
    assert one != with_method(one, schedule=make_schedule("s*"))
    assert Plan((LoraInfo("a", "style"),), (), ("style",), one.method).first("subject") is None
