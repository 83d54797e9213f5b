"""The change of each slot where a gate weighs its LoRAs: their ranks side by side, each factor as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...deltas import Delta, Deltas, Gated, LowRank, Row, Rows, meet_all
from ...deltas.gates import Gate
from ...errors import KLoraError
from ...loras import OTHER

GateOf = Callable[[Row, Sequence[LowRank]], Gate | None]
"""(a row, the changes of the LoRAs that are in it, at strength 1) -> its gate, None where it has none."""


@dataclass(frozen=True, eq=False)
class Part:
    """A row's changes at strength 1, and its gate, which sees them so whatever their strengths are."""

    own: tuple[Delta | None, ...]
    gate: Gate | None
    label: str

    def change(self, deltas: Sequence[Delta | None]) -> Delta | None:
        """The slot's one candidate for changes at their strengths, None for a strength of 0."""
        there = [delta for delta in deltas if delta is not None]
        if self.gate is None:
            return _sum(there)
        if not there:
            return None
        pairs = [(own, at) for own, at in zip(self.own, deltas, strict=True) if isinstance(own, LowRank)]
        ups = [torch.zeros_like(own.up) if at is None else _scaled_up(at) for own, at in pairs]
        return Gated(torch.cat(ups, 1), torch.cat([own.down for own, _ in pairs]), self.gate, self.label)


def _sum(there: Sequence[Delta]) -> Delta | None:
    """The sum of the changes; of several, all are low-rank."""
    if len(there) < 2:
        return there[0] if there else None
    downs = [delta.down for delta in there if isinstance(delta, LowRank)]
    return LowRank(torch.cat([_scaled_up(delta) for delta in there], 1), torch.cat(downs))


def _scaled_up(delta: Delta) -> Tensor:
    assert isinstance(delta, LowRank), "checked where the part was made"
    return delta.up if delta.scale == 1 else delta.up.float() * delta.scale


def parts_of(rows: Sequence[Row], names: Sequence[str], label: str, gate_of: GateOf) -> tuple[Part, ...]:
    """The parts of rows in turn. Raises KLoraError, naming LoRA and layer, where LoRAs can't be weighed."""
    return tuple(_part(row, names, label, gate_of) for row in rows)


def _part(row: Row, names: Sequence[str], label: str, gate_of: GateOf) -> Part:
    own = row.deltas[: len(names)]
    there = [delta for delta in own if delta is not None]
    if len(there) < 2:
        return Part(own, None, label)
    check_ranks(row, names, label)
    return Part(own, gate_of(row, [each for each in there if isinstance(each, LowRank)]), label)


def check_ranks(row: Row, names: Sequence[str], label: str) -> None:
    """Raises KLoraError, naming LoRA and layer, where a LoRA of ``row`` has no ranks to weigh."""
    for name, delta in zip(names, row.deltas, strict=False):
        if delta is not None and not isinstance(delta, LowRank):
            raise KLoraError(
                f"{name}: layer {row.slot.name} is {delta.kind}, and {label} weighs plain LoRAs' ranks.",
                "Use a plain LoRA, or another method",
            )


def apart(slots: Sequence[Deltas], roles: Sequence[str]) -> Rows:
    """The rows that the LoRAs that take part have by themselves: those of the role ``other``, which come
    last, cut none of them, so that a gate finds its slots whatever works beside.
    """
    count = sum(role != OTHER for role in roles)
    met = meet_all(slots[:count], roles[:count])
    return Rows(
        tuple(Row(row.slot, (*row.deltas, *(None for _ in slots[count:]))) for row in met.competing),
        (*met.alone, *(dict(own) for own in slots[count:])),
    )
