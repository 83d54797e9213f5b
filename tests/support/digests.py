"""Two tensors of one digest: sums are linear, so that a short vector of a plane makes them."""

from __future__ import annotations

from itertools import combinations

import torch

from klora_core.deltas import digest as module_digest
from klora_core.deltas.digest import _WEIGHTS

_HALF, _WHOLE = 1 << 32, 1 << 64


def same_digest() -> tuple[torch.Tensor, torch.Tensor]:
    """[8, 1] each, int64, of different values and one :func:`klora_core.deltas.digest`."""
    for i, j in combinations(range(8), 2):
        change = _shortest(*(int(_WEIGHTS[0, at]) for at in (i, j)))
        if max(map(abs, change)) < _HALF:
            one, other = torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, 1, dtype=torch.int64)
            for at, by in zip((i, j), change, strict=True):
                # The upper halves, which are summed by themselves, stay.
                (one if by < 0 else other)[at] = abs(by)
            assert not torch.equal(one, other) and module_digest(one) == module_digest(other)
            return one, other
    raise AssertionError("no pair of words has a short enough vector")


def _shortest(a: int, b: int) -> tuple[int, int]:
    """A short (x, y) with a x + b y = 0 mod 2^64, ``b`` odd: Gauss's reduction of the plane's lattice."""
    u, v = (1, -a * pow(b, -1, _WHOLE) % _WHOLE), (0, _WHOLE)
    while True:
        if _dot(u, u) > _dot(v, v):
            u, v = v, u
        # To the nearest, in whole numbers.
        times = (2 * _dot(u, v) + _dot(u, u)) // (2 * _dot(u, u))
        if times == 0:
            return u
        v = v[0] - times * u[0], v[1] - times * u[1]


def _dot(u: tuple[int, int], v: tuple[int, int]) -> int:
    return u[0] * v[0] + u[1] * v[1]
