"""Weight changes as one matrix, or as the product of two: a LoRA's, alpha/rank folded into the scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..loras import LORA
from .scaled import Scaled


@dataclass(frozen=True, eq=False)
class LowRank(Scaled):
    """dW = scale * up @ down, with ``up`` [out, r] and ``down`` [r, n]; ``scale`` is alpha/rank."""

    up: Tensor
    down: Tensor
    scale: float = 1.0

    kind = LORA
    held = ("up", "down")

    @property
    def shape(self) -> tuple[int, int]:
        return self.up.shape[0], self.down.shape[1]

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def rows(self, start: int, length: int) -> LowRank:
        """The rows ``start .. start+length`` of dW: only ``up`` is cut."""
        return LowRank(self.up.narrow(0, start, length), self.down, self.scale)

    def reordered(self, order: Tensor) -> LowRank:
        return LowRank(self.up[order], self.down, self.scale)

    def product(self) -> Tensor:
        return self.up @ self.down


@dataclass(frozen=True, eq=False)
class Dense(Scaled):
    """dW = scale * weight, [out, n]; ``rank_bound`` is the rank that its parametrisation allows."""

    weight: Tensor
    rank_bound: int
    scale: float = 1.0

    kind = "whole matrix"
    held = ("weight",)

    @property
    def shape(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def rank(self) -> int:
        return min(self.rank_bound, *self.shape)

    def rows(self, start: int, length: int) -> Dense:
        return Dense(self.weight.narrow(0, start, length), self.rank_bound, self.scale)

    def reordered(self, order: Tensor) -> Dense:
        return Dense(self.weight[order], self.rank_bound, self.scale)

    def product(self) -> Tensor:
        return self.weight

    def dense(self, device: torch.device | str = "cpu") -> Tensor:
        # Its product is the matrix that it holds, which nobody may scale in place.
        return self.weight.to(device=device, dtype=torch.float32) * self.scale


def lora(up: Tensor, down: Tensor, alpha: float | None, mid: Tensor | None = None) -> LowRank:
    """LoRA, LoCon or Tucker LoCon (``mid``) factors as a :class:`LowRank`.

    ``up`` [out, r, 1...], ``down`` [r, in, kernel...] or, with ``mid`` [r, r, kernel...], [r, in, 1...].
    ``alpha`` None means alpha = rank.
    """
    rank = down.shape[0]
    if mid is not None:
        core = mid.to(torch.float32).flatten(2)
        down = torch.einsum("pqk,qi->pik", core, down.to(torch.float32).flatten(1))
    return LowRank(up.flatten(1), down.flatten(1), 1.0 if alpha is None else alpha / rank)
