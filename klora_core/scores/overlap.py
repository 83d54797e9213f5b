"""How far two weight changes are one: the cosine between them, from their factors.

<B1 A1, B2 A2> = sum((B1^T B2) * (A1 A2^T)), which needs no entry of either; in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..deltas import Delta, LowRank, spans
from .side_by_side import FEW, side_by_side

_TILE = 1 << 20


def inner(one: Delta, other: Delta) -> float:
    """<dW_1, dW_2>, the sum of the products of their entries. Other kinds than LoRAs are made some rows at a
    time, and meet a LoRA's factors. Raises ValueError for two shapes."""
    if one.shape != other.shape:
        raise ValueError(f"{one.shape} and {other.shape} have no inner product")
    with torch.inference_mode():
        return float(_inner(one, other))


def cosines(
    pairs: Sequence[tuple[Delta, Delta]], energies: Sequence[tuple[float, float]]
) -> list[float | None]:
    """The cosine of each pair, whose ||dW||_F^2 are ``energies``; None where one is zero.

    Between two random changes it is about 1 / sqrt(entries) in size.
    """
    found = side_by_side(lambda pair: inner(*pair), pairs, FEW)
    return [
        max(-1.0, min(1.0, product / size)) if (size := math.sqrt(one) * math.sqrt(other)) else None
        for product, (one, other) in zip(found, energies, strict=True)
    ]


def _inner(one: Delta, other: Delta) -> Tensor:
    if isinstance(one, LowRank) and isinstance(other, LowRank):
        product = (_exact(one.up).T @ _exact(other.up)) * (_exact(one.down) @ _exact(other.down).T)
        return product.sum() * (one.scale * other.scale)
    if isinstance(one, LowRank):
        one, other = other, one
    parts = []
    for start, length in spans(one.shape, _TILE):
        rows = _exact(one.rows(start, length).dense())
        if isinstance(other, LowRank):
            up = _exact(other.up).narrow(0, start, length) * other.scale
            parts.append((up * (rows @ _exact(other.down).T)).sum())
        else:
            parts.append((rows * _exact(other.rows(start, length).dense())).sum())
    return torch.stack(parts).sum()


def _exact(tensor: Tensor) -> Tensor:
    # Not every device has float64.
    return tensor.to("cpu", torch.float64)
