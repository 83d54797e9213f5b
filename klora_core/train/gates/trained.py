"""MoLE's gates while they learn: e and tau of each slot that several LoRAs change, LoRAs and base frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...deltas import LowRank, Row
from ...deltas.gates import EVEN, LEAST_TAU, PICTURE, gates_of, gram, owners, scores, total_of, toward
from ...files.learned import SlotGate
from ...merges import factors
from ...methods.gates import TrainedGate, check_ranks
from ...names import Slot
from ..chains import inner, outer
from ..layers import Change
from .balance import balance

Found = Mapping[Slot, Sequence[LowRank | None]]
"""The LoRAs' factors by slot, None where one changes nothing."""


def weighable(rows: Sequence[Row], names: Sequence[str], device: torch.device | str = "cpu") -> Found:
    """The LoRAs of ``rows`` (:meth:`klora_core.methods.Given.apart`) as float32 factors on ``device``.

    One that is zero somewhere counts there too, as it does where the gates are used. Raises KLoraError,
    naming LoRA and layer, where LoRAs meet that have no ranks to weigh.
    """
    found: dict[Slot, tuple[LowRank | None, ...]] = {}
    with torch.inference_mode(False), torch.no_grad():
        for row in rows:
            own = row.deltas[: len(names)]
            if sum(delta is not None for delta in own) > 1:
                check_ranks(row, names, TrainedGate.name)
            found[row.slot] = tuple(None if delta is None else _held(factors(delta), device) for delta in own)
    return found


def _held(change: LowRank, device: torch.device | str) -> LowRank:
    # Copies: a file's tensors may be of inference mode, which no graph may hold.
    up, down = (tensor.to(device, torch.float32, copy=True) for tensor in (change.up, change.down))
    return LowRank(up, down, change.scale)


class TrainedGates:
    """The changes of all LoRAs of ``slots``, weighed by gates that learn: even at first.

    To be shown on a model's layers (:class:`klora_core.train.Layers`). A slot of one LoRA has no gate. A term
    of the loss is what one prediction lacks, with a share of alpha times :meth:`balance`; :meth:`forget`
    after its backward pass.
    """

    def __init__(self, slots: Found, count: int, pool: str = PICTURE, total: str = EVEN) -> None:
        self.pool, self.total, self.count = pool, total, count
        self._slots = {slot: _Slot(found, total) for slot, found in slots.items()}
        self._gates: dict[Slot, Tensor] = {}

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Each slot's e, [N out, N], zero at first, and tau, 1 at first."""
        return tuple(tensor for own in self._gated.values() for tensor in (own.e, own.tau))

    @property
    def _gated(self) -> dict[Slot, _Slot]:
        return {slot: own for slot, own in self._slots.items() if len(own.members) > 1}

    def of(self, slot: Slot) -> Change | None:
        """What the LoRAs add in a slot; its gates are kept for :meth:`balance`."""
        own = self._slots.get(slot)
        if own is None or not own.members:
            return None

        def change(module: Any, x: Tensor) -> Tensor:
            z = inner(module, x, own.down)
            if len(own.members) > 1:
                gates = own.gates(_tokens(z), self.pool)
                # A block that is computed once more for its gradient gives the same again.
                self._gates[slot] = gates
                factors = own.factor * gates.index_select(-1, own.owner)
                z = (_tokens(z) * factors.to(z.dtype)).view(z.shape)
            return outer(module, z, own.up)

        return change

    def balance(self) -> Tensor:
        """The balance term of the last prediction, to be added, times alpha, to that one's own term."""
        members = [self._slots[slot].members for slot in self._gates]
        return balance([*self._gates.values()], members, self.count)

    def forget(self) -> None:
        """Keep the gates of no prediction, and so no graph."""
        self._gates.clear()

    def learned(self) -> dict[str, SlotGate]:
        """The gates as a file holds them, by the slot's name."""
        return {
            slot.name: SlotGate(own.e.detach().cpu().clone(), float(own.tau.detach().clamp_min(LEAST_TAU)))
            for slot, own in self._gated.items()
        }


class _Slot:
    def __init__(self, found: Sequence[LowRank | None], total: str) -> None:
        there = [change for change in found if change is not None]
        self.members = [i for i, change in enumerate(found) if change is not None]
        if not there:
            return
        self._ups = [change.up * change.scale for change in there]
        self.up, self.down = torch.cat(self._ups, 1), torch.cat([change.down for change in there])
        if len(there) < 2:
            return
        device = self.up.device
        self.owner = owners([change.rank for change in there]).to(device)
        self.factor = total_of(total, len(there))
        # The mean is taken out of sums that nearly cancel.
        self._gram = gram([up.double() for up in self._ups]).to(self.up.dtype)
        with torch.inference_mode(False):
            rows = len(there) * self.up.shape[0]
            self.e = self.up.new_zeros(rows, len(there)).requires_grad_()
            self.tau = self.up.new_ones(1).requires_grad_()

    def gates(self, z: Tensor, pool: str) -> Tensor:
        z = z.to(self.up.dtype)
        return gates_of(scores(z, toward(self.e, self._ups), self._gram), self.tau, pool)


def _tokens(z: Tensor) -> Tensor:
    """z [B, .., r] as [B, T, r]: one batch row is one picture."""
    return z.reshape(z.shape[0] if z.ndim > 1 else 1, -1, z.shape[-1])
