"""From scores a picture to numbers a table shows: means over pairs, errors over trainings, paired
differences.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..pairs import PAIRS, Pair
from .cells import Cell

Scores = dict[str, list[float]]


def harmonic(scores: Scores) -> float:
    """Mean over pictures of each picture's harmonic mean: a picture counts for what it is of both."""
    c, s = np.array(scores["subject"]), np.array(scores["style"])
    return float(np.mean(2 * c * s / np.maximum(c + s, 1e-9)))


def subject(scores: Scores) -> float:
    """Mean subject score."""
    return float(np.mean(scores["subject"]))


def style(scores: Scores) -> float:
    """Mean style score."""
    return float(np.mean(scores["style"]))


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error over trainings, or pairs (nan with one)."""

    mean: float
    error: float

    def __str__(self) -> str:
        shown = f"{self.mean:.2f}".replace("0.", ".", 1) if abs(self.mean) < 1 else f"{self.mean:.2f}"
        return shown if np.isnan(self.error) else f"{shown} ± {self.error:.2f}".replace("± 0.", "± .")


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and standard error of one value a training, or a pair."""
    array = np.array(values, float)
    return Estimate(
        float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else np.nan
    )


class Results:
    """All measured cells of one world and strength."""

    def __init__(self, world: str, strength: float, trainings: int = 3) -> None:
        self.cells: dict[tuple[int, Pair], dict[str, Scores]] = {}
        for training in range(trainings):
            found = {p: Cell(world, strength, training, p).path for p in PAIRS}
            if all(path.exists() for path in found.values()):
                for pair, path in found.items():
                    self.cells[training, pair] = json.loads(path.read_text())
        self.trainings = sorted({training for training, _ in self.cells})

    def has(self, row: str) -> bool:
        """Whether a row was measured everywhere."""
        return bool(self.cells) and all(row in cell for cell in self.cells.values())

    def value(self, row: str, of: Callable[[Scores], float], pairs: Sequence[Pair] = PAIRS) -> Estimate:
        """A score's mean over pairs, its error over trainings."""
        return estimate([float(np.mean([of(self.cells[t, p][row]) for p in pairs])) for t in self.trainings])

    def difference(self, row: str, other: str, pairs: Sequence[Pair] = PAIRS) -> tuple[Estimate, int, int]:
        """Paired difference of joint scores, the number of cells where `row` is ahead, and that of all
        cells.
        """
        each = {
            t: [harmonic(self.cells[t, p][row]) - harmonic(self.cells[t, p][other]) for p in pairs]
            for t in self.trainings
        }
        flat = [d for values in each.values() for d in values]
        return estimate([float(np.mean(v)) for v in each.values()]), sum(d > 0 for d in flat), len(flat)
