"""MoLE's gates while they learn: e and tau of each slot that several LoRAs change, LoRAs and base frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from .balance import balance, mean_gates

Found = Mapping[Slot, Sequence[LowRank | None]]
"""The LoRAs' factors by slot, None where one changes nothing."""
Strengths = Callable[[Slot, int], float]
"""How strongly a LoRA, by its number, works in a slot."""


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
    of the loss is what one prediction lacks, with :meth:`balance` added; :meth:`forget` after its backward
    pass. ``strengths`` are what the LoRAs are added at, 1 where none are given: a gate sees them at 1.
    """

    def __init__(
        self,
        slots: Found,
        count: int,
        pool: str = PICTURE,
        total: str = EVEN,
        strengths: Strengths = lambda slot, i: 1.0,
    ) -> None:
        self.pool, self.total, self.count = pool, total, count
        # Hosts run nodes in inference mode, whose tensors no graph may hold.
        with torch.inference_mode(False), torch.no_grad():
            self._slots = {
                slot: _Slot(found, total, [strengths(slot, i) for i in range(len(found))])
                for slot, found in slots.items()
            }
        self._pushes: dict[Slot, Tensor] = {}
        self.forget()

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Each slot's e, [N out, N], zero at first, and tau, 1 at first."""
        return tuple(tensor for own in self._gated.values() for tensor in (own.e, own.tau))

    @property
    def _gated(self) -> dict[Slot, _Slot]:
        return {slot: own for slot, own in self._slots.items() if len(own.members) > 1}

    def size(self) -> int:
        """Bytes that they take: LoRAs, and numbers that are learned with their gradients and moments."""
        held = {id(each): each for own in self._slots.values() for each in own.held}
        return sum(map(_bytes, held.values())) + 3 * sum(map(_bytes, self.parameters))

    def of(self, slot: Slot) -> Change | None:
        """What the LoRAs add in a slot."""
        own = self._slots.get(slot)
        if own is None or not own.members:
            return None

        def change(module: Any, x: Tensor) -> Tensor:
            z = inner(module, x, own.down)
            if len(own.members) > 1:
                gates = _Pushed.apply(own.gates(_tokens(z), self.pool), lambda: self._pushes.get(slot))
                self._hear(slot, gates.detach())
                factors = own.factor * gates.index_select(-1, own.owner)
                z = (_tokens(z) * factors.to(z.dtype)).view(z.shape)
            return outer(module, z, own.up)

        return change

    def balance(self, weight: float) -> Tensor:
        """The balance term of what was predicted since :meth:`forget`, times ``weight``: a number.

        Its gradient goes into the gates in the prediction's own backward pass, whose loss must not be
        scaled: blocks that are computed once more for it have no graph before.
        """
        slots, sums = list(self._sums), list(self._sums.values())
        with torch.inference_mode(False), torch.enable_grad():
            means = [(each / self._rows[slot]).requires_grad_() for slot, each in self._sums.items()]
            term = weight * balance(means, self._members(slots), self.count)
            pushes = torch.autograd.grad(term, means)
        rows = [self._rows[slot] for slot in slots]
        self._pushes = {slot: push / n for slot, push, n in zip(slots, pushes, rows, strict=True)}
        return term.detach().to(sums[0].device)

    def shares(self) -> list[float]:
        """The mean gate of each LoRA, over slots and over what was predicted since :meth:`forget`."""
        slots = list(self._sums)
        means = [self._sums[slot] / self._rows[slot] for slot in slots]
        return mean_gates(means, self._members(slots), self.count).tolist() if means else []

    def forget(self) -> None:
        """Forget what was predicted."""
        self._pushes = {}
        self._sums: dict[Slot, Tensor] = {}
        self._rows: dict[Slot, int] = {}

    def learned(self) -> dict[str, SlotGate]:
        """The gates as a file holds them, by the slot's name."""
        return {
            slot.name: SlotGate(own.e.detach().cpu().clone(), float(own.tau.detach().clamp_min(LEAST_TAU)))
            for slot, own in self._gated.items()
        }

    def _members(self, slots: Sequence[Slot]) -> list[list[int]]:
        return [self._slots[slot].members for slot in slots]

    def _hear(self, slot: Slot, gates: Tensor) -> None:
        flat = gates.flatten(0, -2)
        known = self._sums.get(slot)
        self._sums[slot] = flat.sum(0) if known is None else known + flat.sum(0)
        self._rows[slot] = self._rows.get(slot, 0) + len(flat)


class _Pushed(torch.autograd.Function):
    """What it is given; backward, with ``push`` added to each row's gradient, as it is by then."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, push: Callable[[], Tensor | None]) -> Tensor:
        ctx.push = push
        return gates.view_as(gates)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        push = ctx.push()
        return gradient if push is None else gradient + push, None


class _Slot:
    def __init__(self, found: Sequence[LowRank | None], total: str, strengths: Sequence[float]) -> None:
        there = [change for change in found if change is not None]
        self.members = [i for i, change in enumerate(found) if change is not None]
        if not there:
            return
        self._ups = [change.up * change.scale for change in there]
        at = [strengths[i] * up for i, up in zip(self.members, self._ups, strict=True)]
        self.up, self.down = torch.cat(at, 1), torch.cat([change.down for change in there])
        if len(there) < 2:
            return
        device = self.up.device
        self.owner = owners([change.rank for change in there]).to(device)
        self.factor = total_of(total, len(there))
        # The mean is taken out of sums that nearly cancel.
        self._gram = gram([up.double() for up in self._ups]).to(self.up.dtype)
        rows = len(there) * self.up.shape[0]
        self.e = self.up.new_zeros(rows, len(there)).requires_grad_()
        self.tau = self.up.new_ones(1).requires_grad_()

    @property
    def held(self) -> list[Tensor]:
        """All its tensors."""
        found = [*vars(self).values()]
        return [each for each in (*found, *getattr(self, "_ups", ())) if isinstance(each, Tensor)]

    def gates(self, z: Tensor, pool: str) -> Tensor:
        z = z.to(self.up.dtype)
        return gates_of(scores(z, toward(self.e, self._ups), self._gram), self.tau, pool)


def _tokens(z: Tensor) -> Tensor:
    """z [B, .., r] as [B, T, r]: one batch row is one picture."""
    return z.reshape(z.shape[0] if z.ndim > 1 else 1, -1, z.shape[-1])


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
