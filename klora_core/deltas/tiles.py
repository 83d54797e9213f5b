"""dW some rows at a time, in memory that is used again: where the whole matrix would be too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from .gates import Gated
from .matrices import Dense, LowRank
from .products import Hadamard, Kron
from .remapped import Delta, Remapped

Make = Callable[[int, int], Tensor]
"""(start, length) -> these rows of dW / scale."""


def spans(shape: tuple[int, int], entries: int) -> Iterator[tuple[int, int]]:
    """(start, length) of a matrix's rows in turn, of ``shape`` [out, n]: of ``entries``, one row at least."""
    out, n = shape
    step = max(1, entries // max(1, n))
    for start in range(0, out, step):
        yield start, min(step, out - start)


class Tiles:
    """How to make dW / scale some rows at a time, as :func:`spans` cuts it; only called, it makes something.

    ``room`` is how many numbers are overwritten.
    """

    def __init__(self, delta: Delta, entries: int) -> None:
        self._delta, self._like = delta, delta.tensors[0]
        self._spans = tuple(spans(delta.shape, entries))
        # A LoHa's tile is the product of two.
        self._count = 2 if isinstance(delta, Hadamard) else 1
        self._shape = max((length for _, length in self._spans), default=0), delta.shape[1]
        self.room = self._count * prod(self._shape)

    def __call__(self, room: Tensor | None = None) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """((start, length), these rows), in turn; a tile may be changed, and is valid until the next one.

        It lies in ``room``, flat and large enough, of the factors' dtype and device (a Dense may have
        others), or in new memory.
        """
        if room is None:
            # Made once: what is freed between others can leave holes that the next one does not fit.
            memory = [self._like.new_empty(self._shape) for _ in range(self._count)]
        else:
            memory = list(room[: self.room].view(self._count, *self._shape))
        make = _maker(self._delta, memory)
        for rows in self._spans:
            yield rows, make(*rows)


def _maker(delta: Delta, room: Sequence[Tensor]) -> Make:
    """The rows of ``delta``, made in the first of ``room``."""
    first = room[0]
    if isinstance(delta, LowRank):
        up, down = delta.up, delta.down
        return lambda start, length: torch.mm(
            up.narrow(0, start, length), down, out=first.narrow(0, 0, length)
        )
    if isinstance(delta, Dense):
        weight = delta.weight
        return lambda start, length: first.narrow(0, 0, length).copy_(weight.narrow(0, start, length))
    if isinstance(delta, Kron):
        return lambda start, length: delta.rows(start, length).product(first.narrow(0, 0, length))
    if isinstance(delta, Hadamard):
        return _hadamard(delta, first, room[1])
    return _remapped(delta, first)


def _hadamard(delta: Hadamard, first: Tensor, second: Tensor) -> Make:
    up1, down1, up2, down2 = delta.up1, delta.down1, delta.up2, delta.down2

    def make(start: int, length: int) -> Tensor:
        tile, other = first.narrow(0, 0, length), second.narrow(0, 0, length)
        torch.mm(up1.narrow(0, start, length), down1, out=tile)
        torch.mm(up2.narrow(0, start, length), down2, out=other)
        return tile.mul_(other)

    return make


def _remapped(delta: Remapped | Gated, first: Tensor) -> Make:
    if isinstance(delta, Gated):
        raise TypeError("a change that depends on the layer's input has no matrix")
    # Read once, for all tiles: the weight of one slot.
    weight = delta.base.flat(first.device)
    if not delta.mixes:
        return lambda start, length: first.narrow(0, 0, length).copy_(delta.piece(weight, start, length))
    product = delta.piece(weight, 0, delta.shape[0])
    return lambda start, length: first.narrow(0, 0, length).copy_(product.narrow(0, start, length))
