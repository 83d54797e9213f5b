"""A Kronecker product applied without being made: x as a matrix X [n1, n2] becomes W1 X W2^T (LoKr)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..deltas import Factor, Kron, factor_shape


class KronSteps:
    """The products with W1 and W2 in their cheaper order, for the rows of dW that are meant.

    ``work`` is how many multiplications a token takes.
    """

    def __init__(self, delta: Kron) -> None:
        self._w1, self._w2, self._order = delta.w1, delta.w2, delta.order
        (m1, self.n1), (m2, self.n2) = factor_shape(delta.w1), factor_shape(delta.w2)
        start, self._length = delta.window or (0, m1 * m2)
        # The rows of W1 that are needed, and the cut of what comes of them.
        self._first, stop = start // m2, -(-(start + self._length) // m2)
        self._needed, self._cut = stop - self._first, start - self._first * m2
        one, two = _work(delta.w1, self._needed), _work(delta.w2, m2)
        works = self.n1 * two + m2 * one, self.n2 * one + self._needed * two
        self._second_first, self.work = works[0] <= works[1], min(works)

    def linear(self, x: Tensor) -> Tensor:
        """dW x, [tokens, out], of ``x`` [..., n]."""
        y = x.reshape(-1, self.n1, self.n2)
        y = self._mix(self._second(y)) if self._second_first else self._second(self._mix(y))
        return self._chosen(y.flatten(1))

    def convolution(self, module: Any, x: Tensor) -> Tensor:
        """dW * x as ``module`` convolves: W2, which has the kernel, on groups of channels; then W1 across."""
        up, first = (None, self._w2) if isinstance(self._w2, Tensor) else self._w2
        y = x.reshape(x.shape[0] * self.n1, -1, *x.shape[2:])
        y = module._conv_forward(y, first.view(first.shape[0], -1, *module.kernel_size), None)
        y = y if up is None else torch.einsum("br...,or->bo...", y, up)
        mixed = self._mix(y.reshape(x.shape[0], self.n1, -1))
        return self._chosen(mixed.reshape(x.shape[0], -1, *y.shape[2:]))

    def _second(self, y: Tensor) -> Tensor:
        if isinstance(self._w2, Tensor):
            return F.linear(y, self._w2)
        return F.linear(F.linear(y, self._w2[1]), self._w2[0])

    def _mix(self, y: Tensor) -> Tensor:
        """W1's needed rows onto the middle dimension of ``y`` [T, n1, ..]."""
        if isinstance(self._w1, Tensor):
            return torch.matmul(self._w1.narrow(0, self._first, self._needed), y)
        up, down = self._w1
        return torch.matmul(up.narrow(0, self._first, self._needed), torch.matmul(down, y))

    def _chosen(self, y: Tensor) -> Tensor:
        """The rows that are meant, from those computed, in dimension 1."""
        if self._order is not None:
            return y.index_select(1, self._order)
        return y if self._length == y.shape[1] else y.narrow(1, self._cut, self._length)


def _work(factor: Factor, rows: int) -> int:
    """Multiplications of a factor's ``rows`` with one vector."""
    if isinstance(factor, Tensor):
        return rows * factor.shape[1]
    return factor[1].shape[0] * (rows + factor[1].shape[1])
