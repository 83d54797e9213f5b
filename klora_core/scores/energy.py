"""The energy ||dW||_F^2 of weight changes from their factors, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from ..deltas import Delta, Dense, Factor, Gated, Hadamard, Kron, LowRank, Remapped, Tiles, spans

_TILE = 1 << 20


def energy(delta: Delta) -> float:
    """||dW||_F^2. No product is made but a LoHa's and those that depend on the weight, tile by tile.

    ||B A||_F^2 = trace((B^T B)(A A^T)); a Kronecker product's rows have the products of its factors' rows.
    """
    with torch.inference_mode():
        return delta.scale**2 * float(_unscaled(delta))


def _unscaled(delta: Delta) -> Tensor:
    if isinstance(delta, LowRank):
        up, down = _exact(delta.up), _exact(delta.down)
        # Rounding can leave a product of zero a little below it.
        return ((up.T @ up) * (down @ down.T)).sum().clamp_min(0)
    if isinstance(delta, Kron):
        return _kron(delta)
    return torch.stack([tile.square().sum() for tile in _tiles(delta)]).sum()


def _kron(delta: Kron) -> Tensor:
    rows1, rows2 = _row_energies(delta.w1), _row_energies(delta.w2)
    if delta.order is None and delta.window is None:
        return rows1.sum() * rows2.sum()
    index = None if delta.order is None else delta.order.cpu()
    if index is None:
        first, length = delta.window or (0, 0)
        index = torch.arange(first, first + length)
    count = len(rows2)
    return (rows1[torch.div(index, count, rounding_mode="floor")] * rows2[index % count]).sum()


def _row_energies(factor: Factor) -> Tensor:
    """The sums of squares of a factor's rows, float64."""
    if isinstance(factor, Tensor):
        return _exact(factor).square().sum(1)
    up, down = _exact(factor[0]), _exact(factor[1])
    return ((up @ (down @ down.T)) * up).sum(1).clamp_min(0)


def _tiles(delta: Dense | Hadamard | Remapped | Gated) -> Iterator[Tensor]:
    """dW / scale in float64, some rows at a time."""
    if isinstance(delta, Dense):
        return (_exact(delta.weight.narrow(0, *rows)) for rows in spans(delta.shape, _TILE))
    exact = delta.with_tensors([_exact(t) if t.is_floating_point() else t.cpu() for t in delta.tensors])
    if isinstance(exact, (Hadamard, Gated)):
        # What has no matrix says so there.
        return (tile for _, tile in Tiles(exact, _TILE)())
    weight = exact.base.flat("cpu")
    entries = prod(exact.shape) if exact.mixes else _TILE
    return (exact.piece(weight, *rows) for rows in spans(exact.shape, entries))


def _exact(tensor: Tensor) -> Tensor:
    # Not every device has float64.
    return tensor.to("cpu", torch.float64)
