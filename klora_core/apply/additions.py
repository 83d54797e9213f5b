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

from ..deltas import Additive, Dense, Hadamard, Kron, LowRank, Tiles, factor_shape, spans
from .kron_steps import KronSteps
from .targets import Span

Add = Callable[[Any, Tensor, Tensor], None]
"""(module, its input, its output, which is changed)."""

TILE = 1 << 22
"""Entries of dW, or of factors, that are made at a time."""


def addition(module: Any, delta: Additive, rows: Span) -> Add:
    """How ``delta`` is added to a linear or convolution ``module``; ``rows`` (start, length) of its output.

    Low-rank factors and Kronecker products are chained, never multiplied out. A LoHa is the sum of r1 * r2
    products of vectors, made from its factors a tile at a time; or dW is, where that is the smaller.
    """
    if hasattr(module, "kernel_size"):
        return _convolution(module, delta, rows)
    if isinstance(delta, LowRank):
        return _chain_linear(rows, delta.up, delta.down)
    if isinstance(delta, Dense):
        return _chain_linear(rows, None, delta.weight)
    if isinstance(delta, Kron):
        return _kron_linear(rows, delta)
    return _loha_linear(rows, delta)


def tiles(delta: Additive) -> Tiles:
    """dW, tile by tile; none is made before a call."""
    return Tiles(delta, TILE)


def chains(delta: Hadamard) -> bool:
    """Whether a LoHa is less work as a product of rank r1 * r2 than as a matrix."""
    out, n = delta.shape
    return delta.down1.shape[0] * delta.down2.shape[0] * (out + n) < out * n


def _chain_linear(rows: Span, up: Tensor | None, first: Tensor) -> Add:
    dtype, n = first.dtype, first.shape[1]

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        if x.dtype != dtype:
            x = x.to(dtype)
        left, right = x.reshape(-1, n), first
        if up is not None:
            left, right = F.linear(left, first), up
        add_product(output, rows, left, right)

    return add


def add_product(output: Tensor, rows: Span, left: Tensor, right: Tensor) -> None:
    """output[..., rows] += left @ right^T, in one operation where it can be."""
    if output.dtype == right.dtype and output.is_contiguous():
        flat = output.view(-1, output.shape[-1])
        (flat if rows is None else flat.narrow(1, *rows)).addmm_(left, right.t())
    else:
        target = output if rows is None else output.narrow(-1, *rows)
        target += torch.mm(left, right.t()).view(target.shape).to(target.dtype)


def _kron_linear(rows: Span, delta: Kron) -> Add:
    steps, dtype = KronSteps(delta), delta.tensors[0].dtype

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        target = output if rows is None else output.narrow(-1, *rows)
        target += steps.linear(x.to(dtype)).reshape(target.shape).to(target.dtype)

    return add


def _loha_linear(rows: Span, delta: Hadamard) -> Add:
    n, dtype = delta.shape[1], delta.up1.dtype
    chain, products = _LohaChain(delta) if chains(delta) else None, tiles(delta)
    first = 0 if rows is None else rows[0]

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        flat = x.reshape(-1, n).to(dtype)
        if chain is not None:
            for up, down in chain.factors():
                add_product(output, rows, F.linear(flat, down), up)
            return
        for (start, length), tile in products():
            add_product(output, (first + start, length), flat, tile)

    return add


class _LohaChain:
    """A LoHa (A1 B1) * (A2 B2) as the sum of r1 * r2 products of vectors, made on the fly."""

    def __init__(self, delta: Hadamard) -> None:
        self._up1, self._down1, self._up2, self._down2 = delta.tensors
        r1, r2 = self._down1.shape[0], self._down2.shape[0]
        self._steps = tuple(spans((r1, r2 * max(delta.shape)), TILE))

    def factors(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(up [out, r], down [r, n]) whose products sum to dW: columns and rows multiplied pair by pair."""
        for start, length in self._steps:
            up, down = self._up1.narrow(1, start, length), self._down1.narrow(0, start, length)
            yield (
                (up.unsqueeze(2) * self._up2.unsqueeze(1)).flatten(1),
                (down.unsqueeze(1) * self._down2.unsqueeze(0)).flatten(0, 1),
            )

    def convolution(self, module: Any, x: Tensor) -> Tensor:
        """dW * x as ``module`` convolves."""
        changes = [_chain_convolution(up, down)(module, x) for up, down in self.factors()]
        return changes[0] if len(changes) == 1 else torch.stack(changes).sum(0)


def _convolution(module: Any, delta: Additive, rows: Span) -> Add:
    """The module's own convolution keeps its stride, padding mode and dilation, also when changed later."""
    dtype = delta.tensors[0].dtype
    if module.groups != 1:
        return _grouped_convolution(delta, rows)
    if isinstance(delta, LowRank):
        change = _chain_convolution(delta.up, delta.down)
    elif isinstance(delta, Dense):
        change = _chain_convolution(None, delta.weight)
    elif isinstance(delta, Kron) and factor_shape(delta.w2)[1] % prod(module.kernel_size) == 0:
        change = KronSteps(delta).convolution
    elif isinstance(delta, Hadamard) and chains(delta):
        change = _LohaChain(delta).convolution
    else:
        return _convolution_by_tiles(delta, rows)

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        target = output if rows is None else output.narrow(1, *rows)
        target += change(module, x.to(dtype)).to(target.dtype)

    return add


def convolve(module: Any, x: Tensor, flat: Tensor) -> Tensor:
    return module._conv_forward(x, flat.view(flat.shape[0], -1, *module.kernel_size), None)


def _chain_convolution(up: Tensor | None, first: Tensor) -> Callable[[Any, Tensor], Tensor]:
    def change(module: Any, x: Tensor) -> Tensor:
        y = convolve(module, x, first)
        return y if up is None else torch.einsum("br...,or->bo...", y, up)

    return change


def _convolution_by_tiles(delta: Kron | Hadamard, rows: Span) -> Add:
    first, dtype, products = 0 if rows is None else rows[0], delta.tensors[0].dtype, tiles(delta)

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        x = x.to(dtype)
        for (start, length), tile in products():
            change = convolve(module, x, tile)
            output.narrow(1, first + start, length).add_(change.to(output.dtype))

    return add


def _grouped_convolution(delta: Additive, rows: Span) -> Add:
    """Each group reads its own channels, so that factors can't be chained; such kernels are small."""

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        flat = delta.product()
        if rows is not None:
            flat = F.pad(flat, (0, 0, rows[0], output.shape[1] - sum(rows)))
        output += convolve(module, x.to(flat.dtype), flat).to(output.dtype)

    return add
