"""SSR-Merge (arXiv 2606.10617): what each LoRA's inputs look like to all of them, and what fits them best.

z = A x, A all A_i stacked. On LoRA k's inputs, with k alone at work, M_k = mean z z^T. With G = sum_k M_k and
Q = sum_k P_k M_k, where P_k keeps k's rows, R = Q (G + ridge mean(diag G) I)^-1: down = A, up = B R. No
gradients, one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..deltas import LowRank
from ..names import Slot
from .chains import added, inner, is_convolution
from .items import Item, Model, copies, noised, together
from .layers import Change
from .weighted import Factors

RIDGE = 1e-4


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The merged LoRA, and the slots that no input reached: these are the plain sum."""

    deltas: dict[Slot, LowRank]
    as_sum: tuple[Slot, ...]


def calibrated(
    factors: Factors,
    items: Sequence[Sequence[Item]],
    model: Model,
    count: int = 96,
    seed: int = 0,
    at_once: int = 1,
    ridge: float = RIDGE,
    tick: Callable[[], None] = lambda: None,
) -> Calibrated:
    """One LoRA of N, from ``count`` noised copies of each one's own ``items``; ``tick`` is called for each.

    The strengths are in ``factors``.
    """
    with torch.inference_mode(False), torch.no_grad():
        moments: dict[Slot, list[Tensor]] = {slot: [] for slot in factors.slots}
        for i, own in enumerate(items):
            seen = Seen(factors, i)
            for group in together(own, copies(own, count, seed + i), at_once):
                x, sigma, _ = noised(model, own, group)
                model.predict(x, sigma, own[group[0].item].condition, seen)
                tick()
            for slot in factors.slots:
                moments[slot].append(seen.moment(slot))
        deltas = {slot: _merged(factors, slot, moments[slot], ridge) for slot in factors.slots}
    silent = tuple(slot for slot, found in moments.items() if not any(each.any() for each in found))
    return Calibrated(deltas, silent)


def right_factor(moments: Sequence[Tensor], ranks: Sequence[int], ridge: float = RIDGE) -> Tensor:
    """R [sum r_i, sum r_i] from the M_k, each of that size; the identity where all are zero."""
    g = torch.stack(list(moments)).sum(0)
    level = g.diagonal().mean()
    if not level > 0:
        return torch.eye(len(g), dtype=g.dtype, device=g.device)
    kept = [moment.split(list(ranks))[k] for k, moment in enumerate(moments)]
    q = torch.cat(kept)
    # R (G + e I) = Q, and G is symmetric.
    return torch.linalg.solve(g + ridge * level * torch.eye(len(g), dtype=g.dtype, device=g.device), q.T).T


def _merged(factors: Factors, slot: Slot, moments: Sequence[Tensor], ridge: float) -> LowRank:
    found = [own for own in factors.slots[slot] if own is not None]
    up, down = torch.cat([own.up for own in found], dim=1), torch.cat([own.down for own in found])
    right = right_factor(moments, factors.ranks(slot), ridge)
    return LowRank((up.cpu().double() @ right.cpu()).float(), down.cpu())


class Seen:
    """One LoRA alone at work, and the second moments of what all LoRAs' downs make of each slot's inputs."""

    def __init__(self, factors: Factors, lora: int) -> None:
        self._factors, self._lora = factors, lora
        self._sums: dict[Slot, Tensor] = {}
        self._counts: dict[Slot, int] = {}

    def of(self, slot: Slot) -> Change:
        """The LoRA's own change, where it has one."""
        found = self._factors.slots[slot]
        there = [each for each in found if each is not None]
        down = torch.cat([each.down for each in there])
        own = found[self._lora]
        none = down.new_zeros(len(there[0].up), len(down))

        def change(module: Any, x: Tensor) -> Tensor:
            # Of a layer in groups no z is known: it stays the plain sum.
            if not is_convolution(module) or module.groups == 1:
                self._note(slot, inner(module, x, down).flatten(0, -2))
            if own is None:
                return added(module, x, down, none)
            return added(module, x, own.down, own.up)

        return change

    def _note(self, slot: Slot, z: Tensor) -> None:
        # Not every device counts in float64.
        z = z.double() if z.device.type != "mps" else z.cpu().double()
        moment = z.T @ z
        self._sums[slot] = self._sums[slot] + moment if slot in self._sums else moment
        self._counts[slot] = self._counts.get(slot, 0) + len(z)

    def moment(self, slot: Slot) -> Tensor:
        """M_k of a slot, zero where no input reached it."""
        if slot not in self._sums:
            size, device = sum(self._factors.ranks(slot)), self._device(slot)
            return torch.zeros(size, size, dtype=torch.float64, device=device)
        return self._sums[slot] / self._counts[slot]

    def _device(self, slot: Slot) -> torch.device:
        return next(own.up.device for own in self._factors.slots[slot] if own is not None)
