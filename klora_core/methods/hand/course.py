"""What all LoRAs of a schedule are at each moment, and the sums that a slot can have of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from .cut import Cut

MOST_SUMS = 62
"""As many have a letter of their own in a plan's document."""

Sum = tuple[float, ...]
"""The strength of each LoRA, 0 for one that is off."""


@dataclass(frozen=True)
class Course:
    """``pieces[k]`` are the LoRAs' strengths from ``borders[k]`` on, until the next border."""

    borders: tuple[float, ...]
    pieces: tuple[Sum, ...]

    @staticmethod
    def of(cuts: Sequence[Cut]) -> Course:
        """Of each LoRA's own strengths."""
        borders = sorted({border for each in cuts for border in each.borders})
        return Course(tuple(borders), tuple(tuple(each.at(x) for each in cuts) for x in borders))

    def piece(self, x: float) -> int:
        """The piece that progress ``x`` is in."""
        return bisect_right(self.borders, x) - 1

    def sums(self, patterns: Iterable[Sequence[int]]) -> tuple[Sum, ...]:
        """Every sum that slots can have whose LoRAs, by index, are ``patterns``: of single LoRAs first."""
        found = {restricted(piece, there) for there in patterns for piece in self._distinct}
        return tuple(sorted((each for each in found if any(each)), key=_order))

    @cached_property
    def _distinct(self) -> tuple[Sum, ...]:
        return tuple(dict.fromkeys(self.pieces))


def restricted(piece: Sum, there: Sequence[int]) -> Sum:
    """What a slot has of a piece, where only the LoRAs ``there`` change it."""
    return tuple(level if lora in there else 0.0 for lora, level in enumerate(piece))


def on(levels: Sum) -> tuple[int, ...]:
    """The LoRAs that are in a sum, by index."""
    return tuple(lora for lora, level in enumerate(levels) if level)


def _order(levels: Sum) -> tuple[int, tuple[int, ...], tuple[float, ...]]:
    there = on(levels)
    return len(there), there, tuple(-level for level in levels)
