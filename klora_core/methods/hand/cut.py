"""A curve cut into a few levels: what its strength is piece by piece, and how far that is off."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .when import Point, When


@dataclass(frozen=True)
class Cut:
    """``levels[k]`` is the strength from ``borders[k]`` on, until the next border; the first border is 0.

    ``error`` is the most that it is off the curve anywhere between start and end.
    """

    borders: tuple[float, ...]
    levels: tuple[float, ...]
    error: float = 0.0

    def at(self, x: float) -> float:
        """The strength at progress ``x``."""
        return self.levels[bisect_right(self.borders, x) - 1]


def cut(when: When, most: int) -> Cut:
    """``when`` in at most ``most`` levels beside 0 outside its start and end, 2 at least.

    Strengths that hold for a while are kept as they are, where there are few enough; what is between them is
    rounded to levels that lie evenly.
    """
    segments = list(_segments(when))
    levels = _levels(segments, most)
    pieces: list[tuple[float, float]] = [] if when.start == 0 < when.end else [(0.0, 0.0)]
    error = 0.0
    for (x0, a), (x1, b) in segments:
        error = max(error, *(abs(value - _nearest(levels, value)) for value in _worst(levels, a, b)))
        pieces += _pieces(levels, (x0, a), (x1, b))
    if when.end < 1:
        pieces.append((when.end, 0.0))
    return _joined(pieces, error)


def _segments(when: When) -> Iterator[tuple[Point, Point]]:
    """The curve's stretches of some length between start and end."""
    for (x0, a), (x1, b) in pairwise(when.points):
        left, right = max(x0, when.start), min(x1, when.end)
        if left < right:
            slope = (b - a) / (x1 - x0)
            yield (left, a if left == x0 else a + slope * (left - x0)), (right, a + slope * (right - x0))


def _levels(segments: list[tuple[Point, Point]], most: int) -> list[float]:
    held = {a for (_, a), (_, b) in segments if a == b}
    ramps = [value for (_, a), (_, b) in segments if a != b for value in (a, b)]
    if not ramps and len(held) <= most:
        return sorted(held)
    ends = ramps if len(held) <= most - 2 else [*ramps, *held]
    kept = held if len(held) <= most - 2 else set()
    low, high, count = min(ends), max(ends), most - len(kept)
    # Rounded, so that a strength that is held and one of these are one level where they are one number.
    return sorted({*kept, *(round(low + (high - low) * k / (count - 1), 6) for k in range(count))})


def _nearest(levels: list[float], value: float) -> float:
    at = bisect_left(levels, value)
    return min(levels[max(0, at - 1) : at + 1], key=lambda level: abs(level - value))


def _worst(levels: list[float], a: float, b: float) -> Iterator[float]:
    """Where between two strengths the nearest level can be farthest."""
    low, high = sorted((a, b))
    yield from (low, high)
    yield from (middle for middle in _middles(levels) if low < middle < high)


def _middles(levels: list[float]) -> list[float]:
    return [(one + other) / 2 for one, other in pairwise(levels)]


def _pieces(levels: list[float], first: Point, last: Point) -> Iterator[tuple[float, float]]:
    """(from, level) of a stretch, in order; one that begins between two levels begins at that ahead."""
    (x0, a), (x1, b) = first, last
    middles = _middles(levels)
    up = a < b
    yield x0, levels[bisect_right(middles, a) if up else bisect_left(middles, a)]
    passed = [at for at, middle in enumerate(middles) if min(a, b) < middle < max(a, b)]
    for at in passed if up else reversed(passed):
        yield x0 + (middles[at] - a) / (b - a) * (x1 - x0), levels[at + 1 if up else at]


def _joined(pieces: list[tuple[float, float]], error: float) -> Cut:
    """Neighbours of one level as one; of several that begin at one place the last."""
    found: list[tuple[float, float]] = []
    for x, level in pieces:
        while found and found[-1][0] >= x:
            found.pop()
        if not found or found[-1][1] != level:
            found.append((x, level))
    borders, levels = zip(*found, strict=True)
    return Cut(borders, levels, error)
