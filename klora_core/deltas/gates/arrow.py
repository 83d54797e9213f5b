"""Arrow, arXiv 2405.11157: score_i = |u_i . x|, u_i the top right singular vector of dW_i; no training.

u_i lies in the rows of A_i, so that u_i = A_i^T c_i and u_i . x = c_i . z_i with z_i = A_i x: a number a
rank. The paper picks LoRAs for each token; the k best take part, by the softmax of their scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .gate import Gate, pooled

# Each round squares the matrix, as 2^15 rounds of power iteration: two values close together do not mix.
_ROUNDS = 15


def leading(up: Tensor, down: Tensor) -> Tensor:
    """c [r] in float64, with A^T c the top right singular vector of B A, its sign arbitrary; 0 for B A = 0.

    Power iteration on A^T (B^T B) A in rank space: with u = A^T c it is that on (B^T B)(A A^T).
    """
    up, down = up.to(torch.float64), down.to(torch.float64)
    inner = down @ down.T
    power = (up.T @ up) @ inner
    for _ in range(_ROUNDS):
        largest = power.abs().max()
        if largest == 0:
            return torch.zeros_like(power[:, 0])
        power = power / largest
        power = power @ power
    c = power[:, power.square().sum(0).argmax()]
    # A column that fell to nothing on the way has no direction to give.
    length = (c @ inner @ c).clamp_min(0).sqrt()
    return c / length if length > 0 else torch.zeros_like(c)


@dataclass(frozen=True, eq=False)
class Arrow(Gate):
    """The routing of one slot: ``toward`` [R, N] holds c_i in the ranks of LoRA i; ``top`` LoRAs work."""

    toward: Tensor
    owner: Tensor
    top: int
    total: float
    pool: str

    held = ("toward", "owner")

    @property
    def count(self) -> int:
        return self.toward.shape[1]

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        gates = best(pooled((z @ self.toward).abs(), self.pool), self.top)
        return self.total * gates.index_select(-1, self.owner), gates


def best(scores: Tensor, top: int) -> Tensor:
    """The softmax of the ``top`` largest of the last dimension, 0 elsewhere."""
    if top >= scores.shape[-1]:
        return torch.softmax(scores, -1)
    found = scores.topk(top, -1)
    return torch.zeros_like(scores).scatter_(-1, found.indices, torch.softmax(found.values, -1))
