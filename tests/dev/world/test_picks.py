"""What an eye picks of a sheet, and what the table reads off it."""

from __future__ import annotations

import pytest

from world.picks.eyes import CHANCE, COUNTS, ERRS, picks_of
from world.picks.other_eyes import errors, told
from world.picks.run import PICKS

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


def test_the_errors_are_counted():
    names = [f"pair {i}" for i in range(20)]
    counted = [errors(SHEET, name) for name in names]
    picked = [picks_of(SHEET, ERRS, name).splitlines() for name in names]
    assert counted == [sum(line not in BEST[:PICKS] for line in lines) for lines in picked]
    assert len(set(counted)) > 1


def test_an_eye_is_told_beside_that_of_four_picks():
    def of(score, spread):
        shown = [{"rule": "learned 2", "both": score + x} for x in (-0.1, 0.1)]
        return {
            "second": [*shown, {"rule": "NP-LoRA 0.5", "both": 0.0}],
            "spread": {"NP-LoRA 0.5": 4.0, "learned 2": spread},
        }

    cells = [{"4": of(0.4, 3.0), "1": of(0.5, 1.0)}, {"4": of(0.6, 3.0), "1": of(0.9, 2.0)}]
    score, less, variety = told(cells, "1")
    assert [round(each.mean, 6) for each in (score, less, variety)] == [0.7, 0.2, 0.375]
    assert round(less.error, 6) == 0.1, "of the differences, pair by pair"
    score, less, variety = told(cells, "4")
    assert (round(score.mean, 6), less, variety.mean) == (0.5, "", 0.75)
