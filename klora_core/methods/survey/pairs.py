"""What is known of LoRAs two by two: plain data.

The same both ways: the layers in which two LoRAs meet, how far rho spreads over them, how far their changes
overlap. gamma and rho of the other way are 1/gamma and 1/rho (in mode ``reference`` gamma has numbers of its
own). Not the same: when the style takes over, since rho >= S(x) is asked of whichever is the subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ...deltas import LAYERS
from ...loras import STYLE, SUBJECT
from ...names import BaseModel
from ...progress import Columns
from ..klora import GAMMA_MODES, SCORES, Handover, Schedule

PERCENTILES = (5, 25, 50, 75, 95)
# Of equal LoRAs the schedule s gives the style two thirds. Marks to look at a pair by, no verdict on it.
WEAK_STYLE, LOST_SUBJECT = 0.3, 0.15
ALIKE = 0.5


@dataclass(frozen=True)
class Settings:
    """K-LoRA's, as they are without a word from anyone."""

    schedule: Schedule = field(default_factory=Schedule)
    gamma: str = GAMMA_MODES[0]
    layers: str = LAYERS[0]
    score: str = SCORES[0]


@dataclass(frozen=True)
class FileInfo:
    """A LoRA that can be read: how many layers it changes, and their smallest and largest rank."""

    name: str
    base: BaseModel | None
    layers: int
    ranks: tuple[int, int]


@dataclass(frozen=True)
class Way:
    """A pair one way: the numbers of the LoRA that is the subject and of the one that is the style.

    ``rho`` has its ``PERCENTILES`` over the layers, NaN where it is nowhere a number; ``share`` is the
    style's of all cells (layers times columns), ``even`` the balance that comes nearest to a half.
    """

    subject: int
    style: int
    gamma: float
    rho: tuple[float, ...]
    share: float
    handover: Handover
    even: float

    @property
    def likely_hurt(self) -> str | None:
        """The role that is likely to be missing in the picture: it has so few of the cells."""
        if self.share < WEAK_STYLE:
            return STYLE
        return SUBJECT if self.share > 1 - LOST_SUBJECT else None


@dataclass(frozen=True)
class Pair:
    """Two LoRAs, by number, the smaller first; ``ways`` are the first as the subject, and the second.

    ``spread`` is the 95th percentile of rho over its 5th, NaN as in ``Way``; ``overlap`` the mean |cos| of
    the two changes over the layers that both change, None where there is none.
    """

    one: int
    other: int
    layers: int
    spread: float
    overlap: float | None
    ways: tuple[Way, Way]


@dataclass(frozen=True)
class Apart:
    """Two LoRAs that can't be paired, and the reason in one line."""

    one: int
    other: int
    reason: str


@dataclass(frozen=True)
class Survey:
    """All pairs of ``files`` over ``columns``: each of them is in ``pairs`` or in ``apart``.

    ``refused`` are lines on what is no LoRA that can be paired, ``notes`` lines on what of the files is not
    used.
    """

    files: tuple[FileInfo, ...]
    pairs: tuple[Pair, ...]
    apart: tuple[Apart, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]
    columns: Columns
    settings: Settings

    @property
    def ways(self) -> Iterator[Way]:
        """Every pair both ways."""
        return (way for pair in self.pairs for way in pair.ways)


def percentiles(values: np.ndarray) -> tuple[float, ...]:
    """The ``PERCENTILES`` of positive numbers between neighbours' logarithms, so that those of the inverses
    are the inverses; of finite ones alone, NaN where there are none."""
    there = values[np.isfinite(values) & (values > 0)]
    if not there.size:
        return (float("nan"),) * len(PERCENTILES)
    return tuple(float(value) for value in np.exp(np.percentile(np.log(there), PERCENTILES)))
