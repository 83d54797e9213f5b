"""Subjects in styles, and their split, fixed before anything was run."""

from __future__ import annotations

from dataclasses import dataclass

from .draw.concepts import SUBJECTS
from .draw.styles import HELD_OUT_STYLES

TRIGGERS: dict[str, str] = SUBJECTS | {name: word for name, (_, word) in HELD_OUT_STYLES.items()}
"""The word of each LoRA."""


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
        return f"{TRIGGERS[self.style]} {TRIGGERS[self.subject]}"

    @property
    def tuning(self) -> bool:
        """A chessboard: four tuning pairs and four others of a style, two or three of a subject."""
        return (list(SUBJECTS).index(self.subject) + list(HELD_OUT_STYLES).index(self.style)) % 2 == 0


PAIRS: tuple[Pair, ...] = tuple(Pair(c, s) for c in SUBJECTS for s in HELD_OUT_STYLES)
TUNING: tuple[Pair, ...] = tuple(p for p in PAIRS if p.tuning)
HELD_OUT: tuple[Pair, ...] = tuple(p for p in PAIRS if not p.tuning)
