"""NP-LoRA (arXiv 2511.11051) on the model itself: the subject is kept out of what the style looks at.

dW = dW_s + dW_c (I - mu / (1 + mu) Q Q^T), Q a basis of the inputs that the style reads. Nothing changes over
time, and only the subject's ``down`` is another: it is worked out when a layer is shown, from factors in
memory, so that turning mu makes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..deltas import Candidate, Delta, Digests, LowRank, Made, Row, Several, SharedInputs, off_inputs
from ..errors import KLoraError
from ..loras import OTHER, STYLE, SUBJECT
from ..progress import Moment
from .method import Fact, Method

DEFAULT_MU = 0.5
OUTSIDE, AS_THEY_ARE = 0, 1
_LABELS = ("both, subject outside the style's inputs", "both, as they are")
# What the LoRAs share has no mu in it. Room for an SDXL pair of rank 128.
SHARED = SharedInputs(1 << 28)


@dataclass(frozen=True)
class NpLora(Method):
    """All LoRAs work in every slot. ``roles`` are theirs; several styles are projected off together.

    ``kinds`` says for each slot whether its subject is kept OUTSIDE, or all are added AS_THEY_ARE: where one
    is not of low rank, and so has no factors to keep out. Raises KLoraError for a ``mu`` below 0.
    """

    mu: float
    roles: tuple[str, ...]
    kinds: tuple[int, ...]

    name = "NP-LoRA"
    paper = "arXiv 2511.11051"
    summary = "both LoRAs work in every layer, the subject kept out of the inputs that the style looks at."
    adds = True

    def __post_init__(self) -> None:
        if isinstance(self.mu, bool) or not math.isfinite(self.mu) or self.mu < 0:
            raise KLoraError(f"mu must be a number from 0 on, got {self.mu!r}: 0 is the plain sum.")

    def who(self, moment: Moment) -> np.ndarray:
        """The same at every moment, int8 [1, slots]."""
        return np.array(self.kinds, dtype=np.int8)[None]

    def candidates(
        self, slot: int, deltas: Sequence[Delta | None], memory: Digests | None = None
    ) -> tuple[Candidate, ...]:
        """The sum of the slot's LoRAs, of one of the two kinds."""
        parts = [(role, delta) for role, delta in zip(self.roles, deltas, strict=False) if delta is not None]
        found = (
            outside(parts, self.mu / (1 + self.mu), memory)
            if self.kinds[slot] == OUTSIDE
            else [delta for _, delta in parts]
        )
        one = found[0] if len(found) == 1 else Several(tuple(found)) if found else None
        return tuple(one if kind == self.kinds[slot] else None for kind in range(self._count))

    @property
    def _count(self) -> int:
        return 2 if AS_THEY_ARE in self.kinds else 1

    def key_of(self) -> Hashable:
        """How firmly it is kept out, and where."""
        return self.mu, self.kinds

    def labels(self, loras: Sequence[str]) -> tuple[str, ...]:
        """What the map says of a slot; at mu 0 both kinds are the plain sum."""
        first = _LABELS[OUTSIDE] if self.mu else "both"
        return (first, _LABELS[AS_THEY_ARE])[: self._count]

    def idle(self, used: Sequence[bool], labels: Sequence[str], loras: Sequence[str]) -> tuple[str, ...]:
        """Both work wherever anything does."""
        return ()

    def facts(self) -> tuple[Fact, ...]:
        """mu, and where it has no say."""
        share = self.mu / (1 + self.mu)
        means = "the plain sum" if not self.mu else f"of what both look at the subject does {1 - share:.0%}"
        found = [Fact("mu", f"{self.mu:g}", means)]
        if others := self.kinds.count(AS_THEY_ARE):
            layers = f"{others:,} layer{'' if others == 1 else 's'}"
            found.append(Fact("as they are", layers, "LoKr, LoHa, DoRA, OFT or whole matrices: added"))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """mu; a slot says for itself where it has no say."""
        return {"null_space": {"mu": self.mu}}

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        return {"outside": self.kinds[index] == OUTSIDE}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> NpLora:
        roles = (lora["role"] for lora in document["loras"] if lora["role"] != OTHER)
        kinds = (OUTSIDE if slot["outside"] else AS_THEY_ARE for slot in document["slots"])
        return cls(document["null_space"]["mu"], tuple(roles), tuple(kinds))


def np_lora(rows: Sequence[Row], roles: Sequence[str], mu: float) -> NpLora:
    """The method over the rows where LoRAs of these ``roles`` meet; those of the role ``other`` come last."""
    kinds = (
        OUTSIDE if all(delta is None or isinstance(delta, LowRank) for delta in row.deltas) else AS_THEY_ARE
        for row in rows
    )
    return NpLora(mu, tuple(role for role in roles if role != OTHER), tuple(kinds))


def outside(parts: Sequence[tuple[str, Delta]], share: float, memory: Digests | None = None) -> list[Delta]:
    """The LoRAs of a slot, by role, each subject times (I - ``share`` Q Q^T); all are of low rank."""
    winners = [delta for role, delta in parts if role == STYLE and isinstance(delta, LowRank)]
    return [
        _kept_out(delta, winners, share, memory)
        if role == SUBJECT and share and winners and isinstance(delta, LowRank)
        else delta
        for role, delta in parts
    ]


def _kept_out(subject: LowRank, winners: Sequence[LowRank], share: float, memory: Digests | None) -> LowRank:
    def make() -> tuple[Tensor, Tensor]:
        inputs = [_read(winner) for winner in winners]
        winner = inputs[0] if len(inputs) == 1 else torch.cat([each.float() for each in inputs])
        # What is made here has no contents that anybody remembers.
        known = memory if any(winner is own.down for own in winners) else None
        if not len(winner):
            return subject.up, subject.down
        shared = SHARED.of(subject.down, winner, known)
        return subject.up, off_inputs(subject.down, winner, shared, share)

    return Made(subject.shape, subject.rank, make, subject.scale)


def _read(style: LowRank) -> Tensor:
    """The rows of ``down`` that reach an output: a style that is zero in a layer takes nothing there."""
    there = (style.up != 0).any(dim=0)
    return style.down if bool(there.all()) else style.down[there]
