"""y += dW x from the factors of each kind of delta, for linear and convolution layers.

Every function holds the tensors themselves and makes views of them anew: a host may move their storage.
The output is changed in place: it is the layer's own fresh tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..deltas import Delta, Dense, Hadamard, Kron, LowRank
from ..factored import Factor, factor_shape

Add = Callable[[Any, Tensor, Tensor], None]
"""(module, its input, its output, which is changed)."""
Rows = Callable[[int, int], Tensor]
"""(start, length) -> these rows of dW."""

TILE = 1 << 22
"""Entries of dW that are made at a time where a kind has no cheaper way."""


def addition(module: Any, delta: Delta, rows: tuple[int, int] | None) -> Add:
    """How ``delta`` is added to a linear or convolution ``module``; ``rows`` (start, length) of its output.

    Low-rank factors and Kronecker products are chained, never multiplied out; a LoHa is, tile by tile.
    """
    if hasattr(module, "kernel_size"):
        return _convolution(module, delta, rows)
    if isinstance(delta, LowRank):
        return _chain_linear(rows, delta.up, delta.down)
    if isinstance(delta, Dense):
        return _chain_linear(rows, None, delta.weight)
    if isinstance(delta, Kron):
        return _kron_linear(rows, delta)
    return _rows_linear(rows, rows_of(delta), delta.shape)


def tiles(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """(start, length) of row tiles of a matrix."""
    out, n = shape
    step = max(1, TILE // n)
    for start in range(0, out, step):
        yield start, min(step, out - start)


def rows_of(delta: Delta) -> Rows:
    """Rows of dW multiplied out, in the dtype of the factors."""
    if not isinstance(delta, Hadamard):
        return lambda start, length: delta.rows(start, length).product()
    up1, down1, up2, down2 = delta.tensors

    def rows(start: int, length: int) -> Tensor:
        one, two = (up.narrow(0, start, length) @ down for up, down in ((up1, down1), (up2, down2)))
        return one.mul_(two)

    return rows


def _chain_linear(rows: tuple[int, int] | None, up: Tensor | None, first: Tensor) -> Add:
    dtype, n = first.dtype, first.shape[1]

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        if x.dtype != dtype:
            x = x.to(dtype)
        left, right = x.reshape(-1, n), first
        if up is not None:
            left, right = F.linear(left, first), up
        _add_product(output, rows, left, right)

    return add


def _add_product(output: Tensor, rows: tuple[int, int] | None, left: Tensor, right: Tensor) -> None:
    """output[..., rows] += left @ right^T, in one operation where it can be."""
    if output.dtype == right.dtype and output.is_contiguous():
        flat = output.view(-1, output.shape[-1])
        (flat if rows is None else flat.narrow(1, *rows)).addmm_(left, right.t())
    else:
        target = output if rows is None else output.narrow(-1, *rows)
        target += torch.mm(left, right.t()).view(target.shape).to(target.dtype)


def _rows_linear(rows: tuple[int, int] | None, make: Rows, shape: tuple[int, int]) -> Add:
    first = 0 if rows is None else rows[0]
    pieces = tuple(tiles(shape))

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        left: Tensor | None = None
        for start, length in pieces:
            right = make(start, length)
            left = x.reshape(-1, shape[1]).to(right.dtype) if left is None else left
            _add_product(output, (first + start, length), left, right)

    return add


class _KronRows:
    """Which rows of W1 a Kronecker product's rows need, and the cut of what comes of them."""

    def __init__(self, delta: Kron) -> None:
        self.order = delta.order
        (m1, self.n1), (m2, self.n2) = factor_shape(delta.w1), factor_shape(delta.w2)
        start, self.length = delta.window or (0, m1 * m2)
        self.first, stop = start // m2, -(-(start + self.length) // m2)
        self.needed, self.cut = stop - self.first, start - self.first * m2
        # x as [n1, n2] becomes W1 X W2^T: which product comes first decides the work.
        self.second_first = self.n1 * m2 * (self.n2 + self.needed) <= self.needed * self.n2 * (self.n1 + m2)

    def mix(self, w1: Factor, y: Tensor) -> Tensor:
        """W1's needed rows onto the middle dimension of ``y`` [T, n1, ..]."""
        if isinstance(w1, Tensor):
            return torch.matmul(w1.narrow(0, self.first, self.needed), y)
        up, down = w1
        return torch.matmul(up.narrow(0, self.first, self.needed), torch.matmul(down, y))

    def chosen(self, y: Tensor) -> Tensor:
        """The rows that are meant, from those computed, in dimension 1."""
        if self.order is not None:
            return y.index_select(1, self.order)
        return y if self.length == y.shape[1] else y.narrow(1, self.cut, self.length)


def _kron_linear(rows: tuple[int, int] | None, delta: Kron) -> Add:
    w1, w2, kron, dtype = delta.w1, delta.w2, _KronRows(delta), delta.tensors[0].dtype

    def second(y: Tensor) -> Tensor:
        return F.linear(y, w2) if isinstance(w2, Tensor) else F.linear(F.linear(y, w2[1]), w2[0])

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        y = x.to(dtype).reshape(-1, kron.n1, kron.n2)
        y = kron.mix(w1, second(y)) if kron.second_first else second(kron.mix(w1, y))
        target = output if rows is None else output.narrow(-1, *rows)
        target += kron.chosen(y.flatten(1)).reshape(target.shape).to(target.dtype)

    return add


def _convolution(module: Any, delta: Delta, rows: tuple[int, int] | None) -> Add:
    """The module's own convolution keeps its stride, padding mode and dilation, also when changed later."""
    change: Callable[[Any, Tensor], Tensor]
    if module.groups != 1:
        return _grouped_convolution(delta, rows)
    if isinstance(delta, LowRank):
        change = _chain_convolution(delta.up, delta.down)
    elif isinstance(delta, Dense):
        change = _chain_convolution(None, delta.weight)
    elif isinstance(delta, Kron) and factor_shape(delta.w2)[1] % prod(module.kernel_size) == 0:
        change = _kron_convolution(delta)
    else:
        return _rows_convolution(rows, rows_of(delta), delta.shape)

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        target = output if rows is None else output.narrow(1, *rows)
        target += change(module, x).to(target.dtype)

    return add


def _kernel(module: Any, flat: Tensor) -> Tensor:
    return flat.view(flat.shape[0], -1, *module.kernel_size)


def _chain_convolution(up: Tensor | None, first: Tensor) -> Callable[[Any, Tensor], Tensor]:
    def change(module: Any, x: Tensor) -> Tensor:
        y = module._conv_forward(x.to(first.dtype), _kernel(module, first), None)
        return y if up is None else torch.einsum("br...,or->bo...", y, up)

    return change


def _kron_convolution(delta: Kron) -> Callable[[Any, Tensor], Tensor]:
    """W2, which has the kernel, on each of n1 groups of channels; then W1 across the groups."""
    kron, w1 = _KronRows(delta), delta.w1
    up, first = (None, delta.w2) if isinstance(delta.w2, Tensor) else delta.w2
    second = _chain_convolution(up, first)

    def change(module: Any, x: Tensor) -> Tensor:
        y = second(module, x.reshape(x.shape[0] * kron.n1, -1, *x.shape[2:]))
        mixed = kron.mix(w1, y.reshape(x.shape[0], kron.n1, -1))
        return kron.chosen(mixed.reshape(x.shape[0], -1, *y.shape[2:]))

    return change


def _rows_convolution(rows: tuple[int, int] | None, make: Rows, shape: tuple[int, int]) -> Add:
    first = 0 if rows is None else rows[0]
    pieces = tuple(tiles(shape))

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        for start, length in pieces:
            flat = make(start, length)
            change = module._conv_forward(x.to(flat.dtype), _kernel(module, flat), None)
            output.narrow(1, first + start, length).add_(change.to(output.dtype))

    return add


def _grouped_convolution(delta: Delta, rows: tuple[int, int] | None) -> Add:
    """Each group reads its own channels, so that factors can't be chained; such kernels are small."""

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        flat = delta.product()
        if rows is not None:
            flat = F.pad(flat, (0, 0, rows[0], output.shape[1] - sum(rows)))
        output += module._conv_forward(x.to(flat.dtype), _kernel(module, flat), None).to(output.dtype)

    return add
