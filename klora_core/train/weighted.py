"""LoRAs side by side with a number for each column and each row: sum_i diag(o_i) B_i A_i diag(m_i).

Columns m_i [n] weigh what a LoRA looks at, rows o_i [out] what it says. A plain sum is the case where both
are a strength and 1, a LoRA alone the case where the others are off. Both fold into the factors, so that what
is learned is an ordinary LoRA.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import torch
from torch import Tensor

from ..deltas import LowRank, Row
from ..errors import KLoraError
from ..merges import factors
from ..names import Slot
from .chains import added
from .layers import Change

Number = Union[Tensor, float]


@dataclass(frozen=True, eq=False)
class Factors:
    """The factors of LoRAs by slot, the scale in ``up``: None where a LoRA changes nothing."""

    slots: dict[Slot, tuple[LowRank | None, ...]]
    count: int

    @property
    def heights(self) -> dict[Slot, int]:
        """The number of rows of each slot."""
        return {slot: _first(found).shape[0] for slot, found in self.slots.items()}

    def ranks(self, slot: Slot) -> tuple[int, ...]:
        """The rank of each LoRA in a slot, 0 where it changes nothing."""
        return tuple(0 if each is None else each.rank for each in self.slots[slot])

    def size(self) -> int:
        """Their numbers, 4 bytes each."""
        held = (each for found in self.slots.values() for each in found if each is not None)
        return sum(each.up.numel() + each.down.numel() for each in held)


def factored(
    rows: Sequence[Row], device: torch.device | str = "cpu", strengths: Sequence[float] | None = None
) -> Factors:
    """The LoRAs of ``rows`` as float32 factors on ``device``, each at its strength, 1 where none is given.

    A LoRA that is zero in a slot, or has strength 0, changes nothing there. Raises KLoraError where nothing
    is left.
    """
    if not rows:
        raise KLoraError("there is nothing to learn from: the LoRAs change no layer.", "Choose other LoRAs")
    count = len(rows[0].deltas)
    weights = [1.0] * count if strengths is None else list(strengths)
    slots: dict[Slot, tuple[LowRank | None, ...]] = {}
    with torch.inference_mode(False), torch.no_grad():
        for row in rows:
            found = tuple(
                None if delta is None or weight == 0 else _held(factors(delta), weight, device)
                for delta, weight in zip(row.deltas, weights, strict=True)
            )
            if any(each is not None for each in found):
                slots[row.slot] = found
    if not slots:
        raise KLoraError(
            "there is nothing to learn from: every LoRA is zero, or has strength 0.",
            "Choose other LoRAs, or give one LoRA another strength",
        )
    return Factors(slots, count)


def _held(change: LowRank, weight: float, device: torch.device | str) -> LowRank | None:
    # Copies: a file's tensors may be of inference mode, which no graph may hold.
    up = change.up.to(device, torch.float32, copy=True) * (change.scale * weight)
    down = change.down.to(device, torch.float32, copy=True)
    return LowRank(up, down) if up.any() and down.any() else None


def _first(found: Sequence[LowRank | None]) -> LowRank:
    return next(each for each in found if each is not None)


Coefficients = Mapping[Slot, Sequence[Union[Number, None]]]


@dataclass(frozen=True, eq=False)
class Weighted:
    """Changes of LoRAs by columns and rows of a slot, LoRA by LoRA; None: that LoRA is off there.

    A slot that ``columns`` does not have is off for all, one that ``rows`` does not have has rows of 1.
    """

    factors: Factors
    columns: Coefficients
    rows: Coefficients = field(default_factory=dict)

    def of(self, slot: Slot) -> Change | None:
        """B A x of all LoRAs that are on, in one product."""
        found = self.pair(slot)
        if found is None:
            return None
        up, down = found
        return lambda module, x: added(module, x, down, up)

    def pair(self, slot: Slot) -> tuple[Tensor, Tensor] | None:
        """(up [out, sum r_i], down [sum r_i, n]), the columns and rows folded in; None where all are off."""
        columns, rows = self.columns.get(slot, ()), self.rows.get(slot, ())
        ups, downs = [], []
        for i, column in enumerate(columns):
            own = self.factors.slots[slot][i]
            if own is None or column is None:
                continue
            row = rows[i] if rows else None
            ups.append(own.up if row is None else own.up * _tall(row))
            downs.append(own.down * column)
        return (torch.cat(ups, dim=1), torch.cat(downs)) if ups else None

    def folded(self) -> dict[Slot, LowRank]:
        """An ordinary LoRA: factors on the CPU, of rank sum r_i in a slot."""
        with torch.no_grad():
            pairs = {slot: self.pair(slot) for slot in self.factors.slots}
            return {
                slot: LowRank(pair[0].detach().cpu(), pair[1].detach().cpu())
                for slot, pair in pairs.items()
                if pair is not None
            }


def _tall(row: Number) -> Number:
    return row[:, None] if isinstance(row, Tensor) else row


def energy_shares(factors: Factors, deltas: Mapping[Slot, LowRank]) -> dict[Slot, tuple[float, ...]]:
    """How much of a merged LoRA each one of ``factors`` is in a slot: the share of ||dW_i||_F^2 of its ranks.

    ``deltas`` have the LoRAs' ranks side by side, as :meth:`Weighted.folded` gives them; a slot where all is
    zero is left out.
    """
    shares = {}
    for slot, change in deltas.items():
        ranks = list(factors.ranks(slot))
        parts = zip(change.up.double().split(ranks, 1), change.down.double().split(ranks), strict=True)
        energies = [float(((up.T @ up) * (down @ down.T)).sum()) for up, down in parts]
        if whole := sum(energies):
            shares[slot] = tuple(energy / whole for energy in energies)
    return shares


def at_strengths(factors: Factors, strengths: Sequence[float]) -> Weighted:
    """The plain sum at ``strengths``; a LoRA of strength 0 is off."""
    own = [None if strength == 0 else strength for strength in strengths]
    return Weighted(factors, {slot: own for slot in factors.slots})


def alone(factors: Factors, lora: int) -> Weighted:
    """One LoRA at strength 1, the others off."""
    return at_strengths(factors, [float(i == lora) for i in range(factors.count)])


def learned(
    factors: Factors, start: Callable[[Slot, int], float], side: str, slots: Sequence[Slot] | None = None
) -> dict[Slot, list[Any]]:
    """Parameters for the columns or the rows (``side``) of all slots, or of some, beginning at ``start``.

    None where a LoRA changes nothing; for slots that are not meant the number itself, which nobody learns.
    """
    chosen = set(factors.slots if slots is None else slots)
    made: dict[Slot, list[Any]] = {}
    with torch.inference_mode(False):
        for slot, found in factors.slots.items():
            made[slot] = [
                None
                if own is None
                else _parameter(own, start(slot, i), side)
                if slot in chosen
                else start(slot, i)
                for i, own in enumerate(found)
            ]
    return made


def _parameter(own: LowRank, value: float | None, side: str) -> Tensor:
    size, device = own.shape[1 if side == "columns" else 0], own.up.device
    return torch.full((size,), 1.0 if value is None else value, device=device, requires_grad=True)


def parameters(coefficients: Coefficients) -> tuple[Tensor, ...]:
    """Those of them that are learned."""
    return tuple(v for found in coefficients.values() for v in found if isinstance(v, Tensor))
