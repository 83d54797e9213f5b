"""A curve in a few levels, against the curve itself at many places."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klora_core.errors import KLoraError
from klora_core.methods.hand import ALWAYS, MOST_LEVELS, When
from klora_core.methods.hand.cut import cut


def exact(text, start, end, x):
    """The curve restated: what is behind the last point at or before x, and the line to the next."""
    if not (start <= x < end or (start < end == 1 == x)):
        return 0.0
    points = [tuple(map(float, each.split(":"))) for each in text.split(",")] if text else [(0.0, 1.0)]
    before = [point for point in points if point[0] <= x]
    after = [point for point in points if point[0] > x]
    if not before:
        return after[0][1]
    if not after:
        return before[-1][1]
    (x0, a), (x1, b) = before[-1], after[0]
    return a + (b - a) * (x - x0) / (x1 - x0)


XS = [i / 997 for i in range(997)]


def test_a_stretch_that_begins_between_two_levels_goes_to_the_one_ahead():
    found = cut(When(0.0, 0.15, "0:-1.7,0.05:0,0.1:1.1"), MOST_LEVELS)
    assert found.at(0.0502) == pytest.approx(0.1)
    assert all(one < other for one, other in pairwise(found.levels[:-1]))
    falling = cut(When(0.0, 0.15, "0:1.7,0.05:0,0.1:-1.1"), MOST_LEVELS)
    assert all(one > other for one, other in pairwise(falling.levels[:-1]))


@settings(deadline=None, max_examples=60)
@given(
    points=st.lists(st.tuples(st.integers(0, 20), st.integers(-20, 20)), min_size=0, max_size=6),
    window=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    most=st.sampled_from([2, 3, 8, MOST_LEVELS]),
)
def test_the_levels_are_few_and_no_farther_off_than_is_said(points, window, most):
    text = ",".join(f"{x / 20}:{value / 10}" for x, value in sorted(points, key=lambda p: p[0]))
    start, end = (edge / 20 for edge in sorted(window))
    found = cut(When(start, end, text), most)
    assert found.borders[0] == 0 and list(found.borders) == sorted(set(found.borders))
    assert len({level for level in found.levels if level}) <= most
    assert all(one != other for one, other in zip(found.levels, found.levels[1:], strict=False))
    for x in XS:
        on = start <= x < end
        assert abs(found.at(x) - exact(text, start, end, x)) <= (found.error + 1e-9 if on else 0)


@pytest.mark.parametrize(
    ("when", "borders", "levels"),
    [
        (ALWAYS, (0,), (1,)),
        (When(0.25, 0.5), (0, 0.25, 0.5), (0, 1, 0)),
        (When(0.5), (0, 0.5), (0, 1)),
        (When(0, 1, "0:0.3"), (0,), (0.3,)),
        (When(0, 1, "0:1, 0.5:1, 0.5:0, 1:0"), (0, 0.5), (1, 0)),
        (When(0.5, 1, "0:1, 0.5:1, 0.5:-2"), (0, 0.5), (0, -2)),
        (When(0.4, 0.4), (0,), (0,)),
        (When(1, 1), (0,), (0,)),
        (When(0, 0), (0,), (0,)),
    ],
)
def test_what_is_no_slope_is_kept_as_it_is(when, borders, levels):
    found = cut(when, MOST_LEVELS)
    assert (found.borders, found.levels, found.error) == (borders, levels, 0)


def test_a_slope_reaches_its_ends_in_sixteen_levels():
    found = cut(When(0, 1, "0:1, 1:0"), MOST_LEVELS)
    assert len(found.levels) == 16 and found.levels[0] == 1 and found.levels[-1] == 0
    assert found.error == pytest.approx(1 / 30, abs=1e-6)


def test_many_strengths_that_hold_are_rounded_too():
    steps = ", ".join(f"{i / 40}:{i / 40}, {(i + 1) / 40}:{i / 40}" for i in range(40))
    found = cut(When(0, 1, steps), MOST_LEVELS)
    assert len(set(found.levels)) == 16 and 0 < found.error <= 39 / 40 / 30 + 1e-6


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0.7, 0.3), "start 0.7 is after end 0.3"),
        ((-0.1, 1), "^Give start a share of the run from 0 to 1: start is -0.1"),
        ((0, 1.5), "^Give end a share of the run from 0 to 1: end is 1.5"),
        ((True, 1), "^Give start a share .*: start is True"),
        ((math.nan, 1), "^Give start a share .*: start is nan"),
        ((0, 1, "ramp"), "^Write shares .*: 'ramp' is no point of a curve"),
        ((0, 1, "0.5"), "'0.5' is no point"),
        ((0, 1, ":"), "':' is no point"),
        ((0, 1, "0:1:2"), "'0:1:2' is no point"),
        ((0, 1, "1.5:1"), "is no point"),
        ((0, 1, "50%:1"), "'50%:1' is no point"),
        # A comma that was forgotten: not 0:10, 0:11:0 and 0:1.5.
        ((0, 1, "0:1 0"), "'0:1 0' is no point"),
        ((0, 1, "0:1 1:0"), "'0:1 1:0' is no point"),
        ((0, 1, "0:1  .5"), "'0:1 .5' is no point"),
        ((0, 1, "0:1, 0.5:nan"), "^Give a number from -10 to 10: .*strength in '0.5:nan' is no such number"),
        ((0, 1, "0:11"), "^Give a number from -10 to 10: .*'0:11'"),
        ((0, 1, "1:0, 0:1"), "^Write the points from left to right.*: 0 stands behind 1"),
        ((0, 1, 3), "curve must be a text"),
    ],
)
def test_what_is_no_schedule_is_one_line(given, words):
    with pytest.raises(KLoraError, match=words) as told:
        When(*given)
    assert "\n" not in str(told.value)


def test_texts_that_say_the_same_are_equal():
    assert When(0, 1, " 0 : 1 ;\n1:0,") == When(0.0, 1.0, "0:1, 1:0")
