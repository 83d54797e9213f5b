"""The energy ||dW||_F^2 of weight changes from their factors, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from ..deltas import Delta, Dense, Factor, Hadamard, Kron, LowRank, Remapped

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
    if isinstance(delta, Dense):
        return torch.stack([_exact(tile).square().sum() for tile in _tiles(delta.weight)]).sum()
    if isinstance(delta, Kron):
        return _kron(delta)
    if isinstance(delta, Remapped):
        return _remapped(delta)
    return _hadamard(delta)


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


def _remapped(delta: Remapped) -> Tensor:
    exact = delta.with_tensors([_exact(t) if t.is_floating_point() else t.cpu() for t in delta.tensors])
    weight = delta.base.flat("cpu")
    out, n = delta.shape
    step = out if delta.left is not None and delta.left.butterfly else max(1, _TILE // n)
    tiles = (exact.piece(weight, start, min(step, out - start)) for start in range(0, out, step))
    return torch.stack([tile.square().sum() for tile in tiles]).sum()


def _hadamard(delta: Hadamard) -> Tensor:
    up1, down1, up2, down2 = (_exact(tensor) for tensor in delta.tensors)
    step = max(1, _TILE // down1.shape[1])
    tiles = (
        ((a @ down1) * (b @ down2)).square().sum()
        for a, b in zip(up1.split(step), up2.split(step), strict=True)
    )
    return torch.stack(list(tiles)).sum()


def _tiles(matrix: Tensor) -> tuple[Tensor, ...]:
    return matrix.split(max(1, _TILE // max(1, matrix.shape[1])))


def _exact(tensor: Tensor) -> Tensor:
    # Not every device has float64.
    return tensor.to("cpu", torch.float64)
