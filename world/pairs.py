"""The 16 pairs and their split, fixed before anything was tuned."""

from __future__ import annotations

from dataclasses import dataclass

from .draw.forms import SUBJECTS
from .draw.styles import HELD_OUT_STYLES
from .draw.words import TRIGGERS


@dataclass(frozen=True)
class Pair:
    """A subject to be shown in a style."""

    subject: str
    style: str

    @property
    def name(self) -> str:
        """For tables and files."""
        return f"{self.subject}-{self.style}"

    @property
    def prompt(self) -> str:
        """Both triggers and nothing else."""
        return f"{TRIGGERS[self.subject]} {TRIGGERS[self.style]}"

    @property
    def tuning(self) -> bool:
        """A Latin square: each subject and each style is in two tuning pairs and in two held-out ones."""
        return (list(SUBJECTS).index(self.subject) + list(HELD_OUT_STYLES).index(self.style)) % 4 < 2


PAIRS: tuple[Pair, ...] = tuple(Pair(c, s) for c in SUBJECTS for s in HELD_OUT_STYLES)
TUNING: tuple[Pair, ...] = tuple(p for p in PAIRS if p.tuning)
HELD_OUT: tuple[Pair, ...] = tuple(p for p in PAIRS if not p.tuning)
