"""When a LoRA works, and how strongly at each moment: a start, an end and a curve, over the run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

from ...errors import KLoraError, printable

MOST_LEVELS, MOST_STRENGTH = 16, 10.0
_WRITE = "Write shares of the run and strengths, such as 0:1, 0.5:0.6, 1:0"

# All but those between two digits: a comma that was forgotten makes no other number.
_BLANKS = re.compile(r"(?<!\d)\s+|\s+(?![\s\d.])")

Point = tuple[float, float]
"""(progress, strength)."""


@dataclass(frozen=True)
class When:
    """A LoRA works from ``start`` until ``end``, shares of the run within 0 and 1, times its curve.

    ``curve`` is a text: points ``0:1, 0.4:0.6, 1:0``, linear between them and constant beyond; empty: 1. Two
    points at one place are a step. Raises KLoraError for another text, and for a start after the end.
    """

    start: float = 0.0
    end: float = 1.0
    curve: str = ""

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise KLoraError(f"{name} is {value!r}.", f"Give {name} a share of the run from 0 to 1")
        if self.start > self.end:
            raise KLoraError(
                f"start {self.start:g} is after end {self.end:g}, so the LoRA would never work.",
                "Swap start and end",
            )
        object.__setattr__(self, "start", float(self.start))
        object.__setattr__(self, "end", float(self.end))
        object.__setattr__(self, "curve", ", ".join(_parts(self.curve)))
        _ = self.points

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The curve's points over all of the run, the first at 0 and the last at 1."""
        found = [_point(part) for part in _parts(self.curve)]
        for (before, _), (x, _) in zip(found, found[1:], strict=False):
            if x < before:
                raise KLoraError(
                    f"curve: {x:g} stands behind {before:g}.",
                    "Write the points from left to right, such as 0:1, 0.5:0.6, 1:0",
                )
        found = found or [(0.0, 1.0)]
        first, last = found[0], found[-1]
        lead = [(0.0, first[1])] if first[0] > 0 else []
        return (*lead, *found, *([(1.0, last[1])] if last[0] < 1 else []))

    @property
    def flat(self) -> bool:
        """Whether the curve is one strength throughout."""
        return len({strength for _, strength in self.points}) == 1


def _parts(text: str) -> list[str]:
    if not isinstance(text, str):
        raise KLoraError(f"curve must be a text, got {text!r}.", _WRITE)
    return [found for part in re.split("[,;\n]", text) if (found := _BLANKS.sub("", part))]


def _point(text: str) -> Point:
    place, _, strength = text.partition(":")
    try:
        x, value = float(place), float(strength)
    except ValueError:
        x = value = math.nan
    if not 0 <= x <= 1:
        raise KLoraError(f"curve: {printable(text)!r} is no point of a curve.", _WRITE)
    if not abs(value) <= MOST_STRENGTH:
        raise KLoraError(
            f"curve: the strength in {printable(text)!r} is no such number.",
            f"Give a number from -{MOST_STRENGTH:g} to {MOST_STRENGTH:g}",
        )
    return x, value


ALWAYS = When()
"""All the time, at one strength."""
