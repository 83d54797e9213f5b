"""What is measured: pairs of both worlds, in each training and at each strength, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

from ..pairs import PAIRS, Pair
from ..places import WORK

PICTURES = 4
STRENGTHS = (1.0, 1.5)
RESULTS = WORK / "quality"
WORLDS = ("redundant", "plain")


@dataclass(frozen=True)
class Cell:
    """A pair in one training of one world at one strength."""

    world: str
    strength: float
    training: int
    pair: Pair

    @property
    def path(self) -> Path:
        """Its results: row name to the pictures' subject and style scores."""
        return RESULTS / f"{self.world}-{self.strength:g}-{self.training}-{self.pair.name}.json"

    @property
    def latents(self) -> Path:
        """What was sampled: row name to [pictures, 16, 12, 12]."""
        return self.path.with_suffix(".npz")


def cells(trainings: int = 3) -> list[Cell]:
    """Whole tables first: all pairs of both worlds before the next training, all trainings before the next
    strength.
    """
    return [Cell(w, s, t, p) for s, t, w, p in product(STRENGTHS, range(trainings), WORLDS, PAIRS)]
