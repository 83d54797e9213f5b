"""Weight changes that are a product of small matrices other than up @ down: LoKr's and LoHa's.

They keep the file's own tensors. Multiplied out, a LoKr of 230 KB can be a matrix of gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Union

import torch
from torch import Tensor

from .matrices import Dense, LowRank
from .scaled import Scaled

Factor = Union[Tensor, tuple[Tensor, Tensor]]
"""A matrix [m, n], or a pair (up [m, r], down [r, n]) that stands for up @ down."""


def factor_shape(factor: Factor) -> tuple[int, int]:
    """[m, n] of a factor. Raises RuntimeError, as torch does, where the sizes of a pair differ inside."""
    up, down = (factor, factor) if isinstance(factor, Tensor) else factor
    if up.ndim != 2 or down.ndim != 2:
        raise RuntimeError(f"factors are matrices, not {tuple(up.shape)} and {tuple(down.shape)}")
    if up is not down and up.shape[1] != down.shape[0]:
        raise RuntimeError(f"inner sizes differ: {tuple(up.shape)} and {tuple(down.shape)}")
    return up.shape[0], down.shape[1]


def factor_rank(factor: Factor) -> int:
    """The rank that the parametrisation allows."""
    return min(factor.shape) if isinstance(factor, Tensor) else factor[1].shape[0]


def factor_rows(factor: Factor, index: Tensor) -> Tensor:
    """The rows ``index`` of a factor, [len(index), n], multiplied out."""
    return factor[index] if isinstance(factor, Tensor) else factor[0][index] @ factor[1]


@dataclass(frozen=True, eq=False)
class Kron(Scaled):
    """dW = scale * (W1 (x) W2), a Kronecker product (LoKr, LyCORIS): [m1 * m2, n1 * n2].

    ``w1`` is [m1, n1], ``w2`` [m2, n2]; a convolution's kernel is flat in W2's columns. ``window`` (start,
    length) or ``order`` name the product's rows that are meant, all of them where both are None.
    Raises RuntimeError for factors that are no matrices or do not fit together inside.
    """

    w1: Factor
    w2: Factor
    scale: float = 1.0
    window: tuple[int, int] | None = None
    order: Tensor | None = None

    kind = "LoKr"
    held = ("w1", "w2", "order")

    def __post_init__(self) -> None:
        factor_shape(self.w1), factor_shape(self.w2)

    @property
    def shape(self) -> tuple[int, int]:
        (m1, n1), (m2, n2) = factor_shape(self.w1), factor_shape(self.w2)
        if self.order is not None:
            return len(self.order), n1 * n2
        return m1 * m2 if self.window is None else self.window[1], n1 * n2

    @property
    def rank(self) -> int:
        """rank(W1) * rank(W2) as the parametrisation allows them, within the shape."""
        return min(factor_rank(self.w1) * factor_rank(self.w2), *self.shape)

    def rows(self, start: int, length: int) -> Kron:
        """The rows ``start .. start+length`` of dW: no tensor of a factor is cut."""
        out = self.shape[0]
        if start < 0 or length < 0 or start + length > out:
            raise RuntimeError(f"rows {start} to {start + length} of a matrix with {out}")
        if self.order is not None:
            return replace(self, order=self.order.narrow(0, start, length))
        first = 0 if self.window is None else self.window[0]
        return self if length == out else replace(self, window=(first + start, length))

    def reordered(self, order: Tensor) -> Kron:
        if self.order is not None:
            order = self.order[order]
        elif self.window is not None:
            order = order + self.window[0]
        return replace(self, window=None, order=order)

    def product(self, into: Tensor | None = None) -> Tensor:
        """dW / scale as a matrix, in the factors' dtype and on their device; in ``into``, if given."""
        index, m2 = self.order, factor_shape(self.w2)[0]
        if index is None:
            first, length = self.window or (0, factor_shape(self.w1)[0] * m2)
            one = self.w1 if isinstance(self.w1, Tensor) else self.w1[0]
            index = torch.arange(first, first + length, device=one.device)
        left = factor_rows(self.w1, torch.div(index, m2, rounding_mode="floor"))
        right = factor_rows(self.w2, index % m2)
        left, right = left.unsqueeze(2), right.unsqueeze(1)
        if into is None:
            return (left * right).flatten(1)
        torch.mul(left, right, out=into.view(len(left), left.shape[1], right.shape[2]))
        return into


@dataclass(frozen=True, eq=False)
class Hadamard(Scaled):
    """dW = scale * (up1 down1) * (up2 down2), entry by entry (LoHa, FedPara): up [out, r], down [r, n].

    Raises RuntimeError for factors that are no matrices or do not fit together.
    """

    up1: Tensor
    down1: Tensor
    up2: Tensor
    down2: Tensor
    scale: float = 1.0

    kind = "LoHa"
    held = ("up1", "down1", "up2", "down2")

    def __post_init__(self) -> None:
        one, two = factor_shape((self.up1, self.down1)), factor_shape((self.up2, self.down2))
        if one != two:
            raise RuntimeError(f"the two products differ in shape: {one} and {two}")

    @property
    def shape(self) -> tuple[int, int]:
        return self.up1.shape[0], self.down1.shape[1]

    @property
    def rank(self) -> int:
        """r1 * r2, within the shape."""
        return min(self.down1.shape[0] * self.down2.shape[0], *self.shape)

    def rows(self, start: int, length: int) -> Hadamard:
        """The rows ``start .. start+length`` of dW: only the ups are cut."""
        up1, up2 = (up.narrow(0, start, length) for up in (self.up1, self.up2))
        return replace(self, up1=up1, up2=up2)

    def reordered(self, order: Tensor) -> Hadamard:
        return replace(self, up1=self.up1[order], up2=self.up2[order])

    def product(self) -> Tensor:
        return (self.up1 @ self.down1) * (self.up2 @ self.down2)


Additive = Union[LowRank, Dense, Kron, Hadamard]
"""A change that is the same on any weight."""
