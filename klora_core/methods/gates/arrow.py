"""Arrow, arXiv 2405.11157: each LoRA by how well the input lies along what it changes most; no training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...deltas import LowRank, Row, Rows
from ...deltas.gates import Arrow, Gate, leading, owners, total_of
from ...names import Slot
from ..method import Fact
from ..whole import Presence
from .by_input import ByInput
from .parts import parts_of
from .ran import Ran


@dataclass(frozen=True)
class ArrowRouting(ByInput):
    """g = softmax of the ``top`` largest |u_i . x|, u_i the top right singular vector of dW_i."""

    top: int = 2

    name = "Arrow"
    paper = "arXiv 2405.11157"
    summary = "in each layer the picture itself weighs the LoRAs, by how far it lies along what each changes."

    def key_of(self) -> Hashable:
        return self.top, self.pool, self.total

    def facts(self) -> tuple[Fact, ...]:
        count = min(self.top, self.present.count)
        return (*super().facts(), Fact("top", str(count), "LoRAs take part at a time"))

    def own_json(self) -> dict[str, Any]:
        return {"top": self.top}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ArrowRouting:
        shared = cls.shared_in(document)
        return cls(*shared, document["gate"]["top"], ran=Ran.from_json(document["slots"]))


def arrow_routing(
    rows: Rows, names: Sequence[str], top: int, pool: str, total: str, known: dict[Slot, Tensor]
) -> ArrowRouting:
    """The method over ``rows``; ``names`` are the LoRAs' that take part. Raises KLoraError.

    ``known`` keeps the directions of each slot's LoRAs, which no setting changes.
    """

    def gate_of(row: Row, there: Sequence[LowRank]) -> Gate:
        ranks = [delta.rank for delta in there]
        if row.slot not in known:
            along = (leading(delta.up, delta.down).unsqueeze(1) for delta in there)
            known[row.slot] = torch.block_diag(*along).float()
        return Arrow(known[row.slot], owners(ranks), min(top, len(there)), total_of(total, len(there)), pool)

    parts = parts_of(rows.competing, names, ArrowRouting.name, gate_of)
    gated = tuple(part.gate is not None for part in parts)
    present = Presence.of(rows.competing, len(names))
    return ArrowRouting(present, gated, pool, total, top, parts=parts)
