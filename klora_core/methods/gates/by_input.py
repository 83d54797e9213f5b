"""What methods share whose gates see the layer's input: before a run the picture has not decided yet."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from ...deltas import Delta, Digests
from ...progress import Columns, Moment
from ..method import Fact, Method
from ..whole import Presence, Whole
from .parts import Part
from .ran import Ran

PICTURE_DECIDES = "decided by the picture"

B = TypeVar("B", bound="ByInput")


@dataclass(frozen=True)
class ByInput(Method):
    """y = W x + s sum_i g_i(x) dW_i x. The slots of ``gated`` have a gate; others the sum of their LoRAs.

    ``total`` is s, ``pool`` for what a gate is one. ``ran`` is what a run showed. ``parts``, which hold the
    tensors, are nothing that a plan tells: a plan that is read back has none, and composes nothing.
    """

    present: Presence
    gated: tuple[bool, ...]
    pool: str
    total: str
    ran: Ran | None = field(default=None, kw_only=True)
    parts: tuple[Part, ...] = field(default=(), kw_only=True, compare=False, repr=False)

    @property
    def by_input(self) -> bool:
        return True

    @property
    def undecided(self) -> bool:
        return self.ran is None

    def candidates(
        self, slot: int, deltas: Sequence[Delta | None], memory: Digests | None = None
    ) -> tuple[Delta | None, ...]:
        """No LoRA alone, and last the change that the gate weighs."""
        count = self.present.count
        return (*(None for _ in range(count)), self.parts[slot].change(deltas[:count]))

    @abstractmethod
    def key_of(self) -> Hashable:
        """What tells its gates from others."""

    def labels(self, loras: Sequence[str]) -> tuple[str, ...]:
        return (*loras, PICTURE_DECIDES)

    def who(self, moment: Moment) -> np.ndarray:
        """The gate everywhere, int8 [1, slots]."""
        return np.full((1, len(self.present.slots)), self.present.count, dtype=np.int8)

    def with_run(self: B, ran: Ran) -> B:
        """The same, with what the gates of a run were."""
        return replace(self, ran=ran)

    def mixed(self, columns: Columns) -> np.ndarray | None:
        """The share of each LoRA, and last of what is undecided; [LoRAs + 1, slots, columns]."""
        if self.ran is None:
            return None
        slots = len(self.present.slots)
        found = np.zeros((self.present.count + 1, slots, len(columns)))
        over = self.ran.over(columns)
        for slot, there in enumerate(self.present.slots):
            if not self.gated[slot]:
                found[[*there], slot] = 1 / len(there)
                continue
            heard = ~np.isnan(over[: len(there), slot]).any(axis=0)
            found[[*there], slot] = np.where(heard, over[: len(there), slot], 0.0)
            found[-1, slot] = ~heard
        return found

    def never(self, candidate: int, label: str) -> str:
        """Nothing: a gate may give a LoRA little, and what it gave is told."""
        return ""

    def facts(self) -> tuple[Fact, ...]:
        count, gated = self.present.count, sum(self.gated)
        each = "picture" if self.pool == "picture" else "token of the picture"
        what = "1" if self.total == "1" else f"{count}, of LoRAs in the layer: even gates are their plain sum"
        rest = len(self.gated) - gated
        return (
            Fact("gates", f"one a layer and {each}", f"they sum to {what}"),
            Fact("gated", str(gated), f"layers; {rest} without a gate, where LoRAs are added as usual"),
        )

    def to_json(self) -> dict[str, Any]:
        return {"gate": {"pool": self.pool, "sum": self.total, **self.own_json()}}

    @abstractmethod
    def own_json(self) -> dict[str, Any]:
        """What a kind has beside pool and sum."""

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """The LoRAs that change the slot, whether it has a gate, and what the gates of a run were."""
        shown = {} if self.ran is None else {"gates": self.ran.slot_json(index)}
        there = [loras[lora] for lora in self.present.slots[index]]
        return {"loras": there, "gated": self.gated[index], **shown}

    @classmethod
    def shared_in(cls, document: Mapping[str, Any]) -> tuple[Presence, tuple[bool, ...], str, str]:
        """Presence, gated, pool and sum of a document."""
        present = Whole.presence_in(document)
        present = Presence(present.count - 1, present.slots)
        gated = tuple(bool(slot["gated"]) for slot in document["slots"])
        gate = document["gate"]
        return present, gated, gate["pool"], gate["sum"]
