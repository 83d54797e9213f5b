"""dW some rows at a time, in memory that is used again: where the whole matrix would be too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .matrices import Dense, LowRank
from .products import Hadamard, Kron
from .remapped import Delta, Remapped

Make = Callable[[int, int, Tensor], Tensor]
"""(start, length, into) -> these rows of dW / scale, in ``into`` [length, n]."""


def spans(shape: tuple[int, int], entries: int) -> Iterator[tuple[int, int]]:
    """(start, length) of a matrix's rows in turn, of ``shape`` [out, n]: of ``entries``, one row at least."""
    out, n = shape
    step = max(1, entries // max(1, n))
    for start in range(0, out, step):
        yield start, min(step, out - start)


def room_for(delta: Delta, entries: int) -> int:
    """How many numbers :func:`tiles` overwrites; a LoHa's tile is the product of two."""
    size = _largest(delta, entries)
    return 2 * size if isinstance(delta, Hadamard) else size


def tiles(delta: Delta, entries: int, room: Tensor | None = None) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """((start, length), these rows of dW / scale) by :func:`spans`, a tile being valid until the next one.

    It lies in ``room``, flat, of :func:`room_for` numbers or more, of the factors' dtype and device (a Dense
    may have others), or in new memory, and may be changed.
    """
    n, size = delta.shape[1], _largest(delta, entries)
    if room is None:
        # Made once: what is freed between others can leave holes that the next one does not fit.
        like = delta.tensors[0]
        one, two = like.new_empty(size), like.new_empty(size if isinstance(delta, Hadamard) else 0)
    else:
        one, two = room[:size], room[size:]
    make = _maker(delta, two)
    for start, length in spans(delta.shape, entries):
        yield (start, length), make(start, length, one[: length * n].view(length, n))


def _largest(delta: Delta, entries: int) -> int:
    """Entries of the first tile."""
    _, rows = next(spans(delta.shape, entries), (0, 0))
    return rows * delta.shape[1]


def _maker(delta: Delta, spare: Tensor) -> Make:
    """``spare``, on the device of what is made, is overwritten where a tile takes two."""
    if isinstance(delta, LowRank):
        up, down = delta.up, delta.down
        return lambda start, length, into: torch.mm(up.narrow(0, start, length), down, out=into)
    if isinstance(delta, Dense):
        weight = delta.weight
        return lambda start, length, into: into.copy_(weight.narrow(0, start, length))
    if isinstance(delta, Kron):
        return lambda start, length, into: delta.rows(start, length).product(into)
    if isinstance(delta, Hadamard):
        return _hadamard(delta, spare)
    return _remapped(delta, spare.device)


def _hadamard(delta: Hadamard, spare: Tensor) -> Make:
    up1, down1, up2, down2 = delta.up1, delta.down1, delta.up2, delta.down2

    def make(start: int, length: int, into: Tensor) -> Tensor:
        other = spare[: into.numel()].view(into.shape)
        torch.mm(up1.narrow(0, start, length), down1, out=into)
        torch.mm(up2.narrow(0, start, length), down2, out=other)
        return into.mul_(other)

    return make


def _remapped(delta: Remapped, device: torch.device) -> Make:
    # Read once, for all tiles: the weight of one slot.
    weight = delta.base.flat(device)
    if not delta.mixes:
        return lambda start, length, into: into.copy_(delta.piece(weight, start, length))
    product = delta.piece(weight, 0, delta.shape[0])
    return lambda start, length, into: into.copy_(product.narrow(0, start, length))
