"""The ground floor: a slot, and its weight change dW as factors or as a matrix, alpha/rank folded in.

Convolutions are kept flat: ``[out, in * kernel]``; whoever applies them knows the kernel. Every kind has
``shape`` [out, n], ``rank`` (a bound, from its parametrisation), ``scale``, ``tensors``, ``rows``,
``reordered``, ``scaled``, ``product`` (dW / scale) and ``dense`` (dW, float32).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Union

import torch
from torch import Tensor

from .factored import Factor, Hadamard, Kron, as_float32
from .remapped import Remapped

__all__ = [
    "Additive",
    "Delta",
    "Deltas",
    "Dense",
    "Factor",
    "Hadamard",
    "Kron",
    "LowRank",
    "Remapped",
    "Slot",
    "concat",
    "lora",
]


LORA = "LoRA"


@dataclass(frozen=True)
class Slot:
    """A weight, or some of its rows: ``rows`` is (start, length), None the whole weight."""

    weight: str
    rows: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """``double_blocks.0.img_attn.qkv[0:3072]``; without brackets for a whole weight."""
        if self.rows is None:
            return self.weight
        return f"{self.weight}[{self.rows[0]}:{sum(self.rows)}]"


@dataclass(frozen=True, eq=False)
class LowRank:
    """dW = scale * up @ down, with ``up`` [out, r] and ``down`` [r, n]; ``scale`` is alpha/rank."""

    up: Tensor
    down: Tensor
    scale: float = 1.0

    kind = LORA

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
        """dW with row ``order[i]`` in the place of row i."""
        return LowRank(self.up[order], self.down, self.scale)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """up, down."""
        return self.up, self.down

    def with_tensors(self, tensors: Sequence[Tensor]) -> LowRank:
        """The product of other tensors, in the order of ``tensors``; scale 1."""
        up, down = tensors
        return LowRank(up, down)

    def scaled(self, strength: float) -> LowRank:
        """strength * dW: only ``scale`` changes."""
        return replace(self, scale=self.scale * strength)

    def product(self) -> Tensor:
        """dW / scale as a matrix, in the factors' dtype and on their device."""
        return self.up @ self.down

    def dense(self, device: torch.device | str = "cpu") -> Tensor:
        """dW as a float32 matrix [out, n]."""
        return self.with_tensors(as_float32(self.tensors, device)).product() * self.scale


@dataclass(frozen=True, eq=False)
class Dense:
    """dW = scale * weight, [out, n]; ``rank_bound`` is the rank that its parametrisation allows."""

    weight: Tensor
    rank_bound: int
    scale: float = 1.0

    kind = "whole matrix"

    @property
    def shape(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def rank(self) -> int:
        return min(self.rank_bound, *self.shape)

    def rows(self, start: int, length: int) -> Dense:
        """The rows ``start .. start+length`` of dW."""
        return Dense(self.weight.narrow(0, start, length), self.rank_bound, self.scale)

    def reordered(self, order: Tensor) -> Dense:
        """dW with row ``order[i]`` in the place of row i."""
        return Dense(self.weight[order], self.rank_bound, self.scale)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The matrix alone."""
        return (self.weight,)

    def with_tensors(self, tensors: Sequence[Tensor]) -> Dense:
        """Another matrix in the place of this one; scale 1."""
        (weight,) = tensors
        return Dense(weight, self.rank_bound)

    def scaled(self, strength: float) -> Dense:
        """strength * dW: only ``scale`` changes."""
        return replace(self, scale=self.scale * strength)

    def product(self) -> Tensor:
        """dW / scale: the matrix itself."""
        return self.weight

    def dense(self, device: torch.device | str = "cpu") -> Tensor:
        """dW as a float32 matrix [out, n]."""
        return self.weight.to(device=device, dtype=torch.float32) * self.scale


Additive = Union[LowRank, Dense, Kron, Hadamard]
"""A change that is the same on any weight."""
Delta = Union[LowRank, Dense, Kron, Hadamard, Remapped]
Deltas = Mapping[Slot, Delta]


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


def concat(deltas: Sequence[LowRank]) -> LowRank:
    """The sum of low-rank deltas of one shape as one: [s1 up1, s2 up2, ..] @ [down1; down2; ..], float32.

    The rank is the sum of the ranks. Raises ValueError for none, RuntimeError where the shapes differ.
    """
    if not deltas:
        raise ValueError("a sum needs at least one delta")
    ups = [delta.up.to(torch.float32) * delta.scale for delta in deltas]
    return LowRank(torch.cat(ups, 1), torch.cat([delta.down.to(torch.float32) for delta in deltas]))
