"""S and S* are the paper's, and balance leans them."""

from __future__ import annotations

import math

import pytest

from klora_core.errors import KLoraError
from klora_core.methods.klora import make_schedule
from klora_core.methods.klora.schedule import Schedule
from klora_core.progress import step_progress


@pytest.mark.parametrize(
    ("name", "x", "scale"),
    [("s", 0, 0.5), ("s", 0.5, 1.25), ("s", 1, 2.0), ("s*", 0, 1.3), ("s*", 0.5, 0.55), ("s*", 1, 1.3)],
)
def test_the_papers_values(name, x, scale):
    assert make_schedule(name).scale(x) == pytest.approx(scale)


def test_s_star_wraps_where_the_paper_says():
    star = make_schedule("s*")
    wrap = (1.5 - 1.3) / 1.5
    assert star.scale(wrap - 1e-9) == pytest.approx(1.5, abs=1e-6)
    assert star.scale(wrap + 1e-9) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("name", "share"), [("s", 1 / 3), ("s*", 2 / 3)])
def test_share_of_the_run_below_one(name, share):
    schedule, steps = make_schedule(name), 30000
    below = sum(schedule.scale(step_progress(i, steps)) < 1 for i in range(steps))
    assert below / steps == pytest.approx(share, abs=1e-3)


def test_progress_is_the_middle_of_a_step():
    assert [step_progress(i, 4) for i in range(4)] == [0.125, 0.375, 0.625, 0.875]


def test_balance_leans_to_the_style_by_factors_of_four():
    even, style = make_schedule("s"), make_schedule("s", balance=1.0)
    assert style.scale(0.3) == pytest.approx(4 * even.scale(0.3))


@pytest.mark.parametrize(
    "values",
    [
        {"name": "S"},
        {"alpha": -1.0},
        {"beta": -0.1},
        {"alpha": math.nan},
        {"balance": math.inf},
        {"balance": 2000.0},
        {"name": "s*", "alpha": 0.0},
    ],
)
def test_bad_values(values):
    with pytest.raises(KLoraError):
        Schedule(**values)


def test_numbers_that_are_given_stand_in_the_place_of_the_papers():
    assert make_schedule("s*", 2.0, 0.25, 0.5) == Schedule("s*", 2.0, 0.25, 0.5)
    assert make_schedule("s*") == Schedule("s*", 1.5, 1.3, 0.0)
    assert make_schedule("s") == Schedule()
    with pytest.raises(KLoraError, match="^Use one of s, s.*: unknown schedule 'S'"):
        make_schedule("S")


@pytest.mark.parametrize("label", ["alpha", "beta", "balance"])
def test_a_bad_number_is_named(label):
    with pytest.raises(KLoraError, match=f"Schedule s: {label} must be a finite number, got nan"):
        Schedule(**{label: math.nan})


def test_the_largest_balances_are_allowed():
    for balance in (-100, 100):
        assert math.isfinite(Schedule(balance=balance).scale(1.0))
        with pytest.raises(KLoraError, match="balance must be within -100 and 100"):
            Schedule(balance=balance * 1.01)
