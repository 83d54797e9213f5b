"""What an eye picks of a sheet, and what the table reads off it."""

from __future__ import annotations

import pytest

from world.picks.eyes import ARMS, CHANCE, COUNTS, ERRS, picks_of
from world.picks.run import PICKS
from world.picks.table import share

SHEET = [{"both": (17 * i % 104) / 104, "line": f"1, sum 0.7, {i}, {i + 1}"} for i in range(104)]
BEST = [picture["line"] for picture in sorted(SHEET, key=lambda picture: -picture["both"])]


@pytest.mark.parametrize("count", COUNTS)
def test_an_eye_picks_so_many_of_the_best(count):
    assert picks_of(SHEET, str(count), "plain-owl-ink").splitlines() == BEST[:count]


def test_an_eye_that_errs_picks_four_and_every_fifth_is_any_other():
    eyes = [picks_of(SHEET, ERRS, f"pair {i}") for i in range(400)]
    assert eyes == [picks_of(SHEET, ERRS, f"pair {i}") for i in range(400)], "by the cell's name alone"
    wrong = 0
    for lines in map(str.splitlines, eyes):
        assert len(set(lines)) == PICKS == len(lines)
        wrong += sum(line not in BEST[:PICKS] for line in lines)
    assert wrong / len(eyes) / PICKS == pytest.approx(CHANCE, abs=0.03)


def test_four_of_the_best_are_what_the_first_run_measured():
    assert str(PICKS) not in ARMS


def test_variety_is_told_by_the_rule_beside_it():
    assert share({"learned 2": 3.0, "NP-LoRA 0.5": 4.0}) == 0.75
