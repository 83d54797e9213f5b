"""What methods of whole LoRAs share: a LoRA works in all of its slots at once, or in none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..deltas import Row
from .method import NOBODY, Method


@dataclass(frozen=True)
class Presence:
    """Which of ``count`` LoRAs change each slot: ``slots`` names them by index."""

    count: int
    slots: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, rows: Sequence[Row], count: int) -> Presence:
        """The presence of ``count`` LoRAs in the rows where they take part; more LoRAs may follow them."""
        there = (tuple(i for i in range(count) if row.deltas[i] is not None) for row in rows)
        return cls(count, tuple(there))

    @cached_property
    def alone(self) -> np.ndarray:
        """Who works in each slot while one LoRA works alone, int8 [LoRAs, slots]; -1 where it lacks it."""
        chosen = np.full((self.count, len(self.slots)), NOBODY, dtype=np.int8)
        for slot, there in enumerate(self.slots):
            for lora in there:
                chosen[lora, slot] = lora
        return chosen


@dataclass(frozen=True)
class Whole(Method):
    """A method whose LoRAs work as a whole; those of the plan that take part, in their order."""

    present: Presence

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """The LoRAs that change the slot, by label."""
        return {"loras": [loras[lora] for lora in self.present.slots[index]]}

    @property
    def live(self) -> bool:
        """The page can say who works at any step of any run."""
        return True

    def page_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """The LoRAs that change the slot, by label."""
        return self.slot_json(index, loras)

    @staticmethod
    def presence_in(document: Mapping[str, Any]) -> Presence:
        """What :meth:`slot_json` wrote."""
        labels = [candidate["label"] for candidate in document["candidates"]]
        slots = (tuple(labels.index(lora) for lora in slot["loras"]) for slot in document["slots"])
        return Presence(len(labels), tuple(slots))
