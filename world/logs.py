"""Progress of a training: a line now and then to a log file and to the terminal, and a table of losses kept
as text.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Progress:
    """Mean loss since the last line; one line about every `every` seconds."""

    path: Path
    steps: int
    every: float = 30.0
    _losses: list[float] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)
    _shown: float = field(default_factory=time.monotonic)
    _first: int | None = None

    def add(self, step: int, loss: float) -> None:
        """Note a step's loss; `step` counts from 1."""
        self._first = step if self._first is None else self._first
        self._losses.append(loss)
        if time.monotonic() - self._shown < self.every and step < self.steps:
            return
        mean = sum(self._losses) / len(self._losses)
        spent = time.monotonic() - self._begun
        left = spent / max(step - self._first + 1, 1) * (self.steps - step)
        line = f"step {step:6d} of {self.steps}  loss {mean:.4f}  {spent:6.0f} s  about {left:5.0f} s left"
        with self.path.open("a", encoding="utf-8") as out:
            out.write(line + "\n")
        sys.stdout.write(f"{self.path.stem}: {line}\n")
        sys.stdout.flush()
        self._losses.clear()
        self._shown = time.monotonic()
