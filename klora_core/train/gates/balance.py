"""MoLE's balance term (arXiv 2404.13628): -log prod_i q_i, q_i the mean gate of LoRA i over gated slots."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ALPHA = 0.5
"""What the paper weighs the term with."""
# A gate that has closed gives no logarithm of 0, and still a gradient that opens it.
_LEAST = 1e-12


def balance(gates: Sequence[Tensor], members: Sequence[Sequence[int]], count: int) -> Tensor:
    """The term of gates [.., n] of slots, ``members`` telling which n of ``count`` LoRAs each slot weighs.

    Least, count log count, where all gates are even; its gradient reaches every gate.
    """
    q = mean_gates(gates, members, count)
    return -(q[~q.isnan()] + _LEAST).log().sum()


def mean_gates(gates: Sequence[Tensor], members: Sequence[Sequence[int]], count: int) -> Tensor:
    """q [count]; NaN for a LoRA that no slot weighs."""
    sums, slots = gates[0].new_zeros(count), gates[0].new_zeros(count)
    for each, owners in zip(gates, members, strict=True):
        index = torch.tensor([*owners], device=each.device)
        sums = sums.index_add(0, index, each.reshape(-1, each.shape[-1]).mean(0))
        slots = slots.index_add(0, index, torch.ones_like(sums[index]))
    return sums / slots
