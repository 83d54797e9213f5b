"""What the gates of a run were: how much of each LoRA each slot took in each step, the mean of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...progress import Columns

_DIGITS = 4


@dataclass(frozen=True)
class Ran:
    """By slot and step: the share of each LoRA, which sum to 1; empty where the slot was not called."""

    steps: int
    gates: tuple[tuple[tuple[float, ...], ...], ...]

    @classmethod
    def of(cls, shares: np.ndarray) -> Ran:
        """Of shares [slots, steps, LoRAs], NaN where a slot was not called."""
        rounded = np.round(shares, _DIGITS)
        slots = (
            tuple(() if np.isnan(each).any() else tuple(map(float, each)) for each in slot)
            for slot in rounded
        )
        return cls(shares.shape[1], tuple(slots))

    @cached_property
    def array(self) -> np.ndarray:
        """Float64 [slots, steps, LoRAs], NaN where a slot was not called."""
        width = max((len(each) for slot in self.gates for each in slot), default=0)
        found = np.full((len(self.gates), self.steps, width), np.nan)
        for slot, steps in enumerate(self.gates):
            for step, each in enumerate(steps):
                if each:
                    found[slot, step] = each
        return found

    def over(self, columns: Columns) -> np.ndarray:
        """Float64 [LoRAs, slots, columns]: of each column the step that lies there; NaN as above."""
        count = len(columns)
        steps = [min(self.steps - 1, (2 * i + 1) * self.steps // (2 * count)) for i in range(count)]
        return self.array[:, steps].transpose(2, 0, 1)

    def slot_json(self, slot: int) -> list[list[float]]:
        """The slot's gates, a list for each step."""
        return [list(each) for each in self.gates[slot]]

    @classmethod
    def from_json(cls, slots: Sequence[dict[str, Any]]) -> Ran | None:
        """What :meth:`slot_json` wrote into each slot's ``gates``; None where no run is in the document."""
        if not slots or "gates" not in slots[0]:
            return None
        gates = tuple(tuple(tuple(map(float, each)) for each in slot["gates"]) for slot in slots)
        return cls(len(gates[0]), gates)
