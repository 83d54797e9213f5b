"""The largest entries of a Kronecker product without making it: each is a product from two lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..deltas import Delta, Dense, Factor, Kron, LowRank, factor_shape

_SECTIONS = 32


class Lists(NamedTuple):
    """Non-negative float32 entries whose products are sought: all of ``few`` with all of ``many``."""

    few: Tensor
    many: Tensor


def pieces(delta: Kron) -> list[tuple[Delta, Delta]] | None:
    """Pairs of matrices whose Kronecker products hold all entries of dW / scale; at most three.

    Rows of the product in sequence are some whole rows of W1 with all of W2, and before and after them a
    row of W1 with a part of W2. None where rows are picked one by one.
    """
    (m1, _), (m2, _) = factor_shape(delta.w1), factor_shape(delta.w2)
    if delta.order is not None and len(delta.order) != m1 * m2:
        return None
    # An order of all rows has the same entries.
    start, length = delta.window if delta.order is None and delta.window else (0, m1 * m2)
    found, stop = [], start + length
    while start < stop:
        row, part = divmod(start, m2)
        if part == 0 and stop - start >= m2:
            rows, columns = (row, (stop - start) // m2), (0, m2)
        else:
            rows, columns = (row, 1), (part, min(m2 - part, stop - start))
        found.append((_cut(delta.w1, *rows), _cut(delta.w2, *columns)))
        start += rows[1] * columns[1]
    return found


def _cut(factor: Factor, start: int, length: int) -> Delta:
    if isinstance(factor, Tensor):
        return Dense(factor.narrow(0, start, length), length)
    return LowRank(factor[0].narrow(0, start, length), factor[1])


def largest_products(lists: Sequence[Lists], k: int, dtype: torch.dtype) -> Tensor:
    """The sum of the ``k`` largest products within the ``lists``, in ``dtype`` (float64, or float32).

    The k-th largest is sought in sections of the range of floats, which are ordered as their bits are; how
    many products exceed a value is a search in a sorted list for each entry of the other. No shape depends
    on the data and nothing waits for the device. Entries beyond the k largest of a list are not needed.
    """
    groups = [_Sorted(few, many, dtype) for few, many in lists]
    bits, rounds = (torch.int64, 11) if dtype == torch.float64 else (torch.int32, 7)
    high = torch.stack([group.largest() for group in groups]).max().view(bits)
    low = torch.zeros_like(high)
    step = torch.arange(1, _SECTIONS, device=high.device, dtype=bits)
    for _ in range(rounds):
        width = (high - low) // _SECTIONS
        values = (low + width * step).view(dtype)
        above = torch.stack([group.above(values).sum(1) for group in groups]).sum(0)
        section = (above >= k).sum().to(bits)
        # The last section has the rest of the division too.
        high = torch.where(section == _SECTIONS - 1, high, low + width * (section + 1))
        low = low + width * section
    counts = [group.above(high.view(dtype).view(1))[0] for group in groups]
    sums = [group.sum_of_largest(count) for group, count in zip(groups, counts, strict=True)]
    # Fewer than k exceed the value: the others are as large as the largest that does not, ties or roundings.
    value = torch.stack([group.next(count) for group, count in zip(groups, counts, strict=True)]).max()
    rest = k - torch.stack([count.sum() for count in counts]).sum()
    return torch.stack(sums).sum() + rest * value


class _Sorted:
    """Two lists, the longer one sorted, with the sums of its largest entries."""

    def __init__(self, few: Tensor, many: Tensor, dtype: torch.dtype) -> None:
        if len(few) > len(many):
            few, many = many, few
        self._few = few.to(dtype)
        self._many = ascending(many)
        self._sums = torch.zeros(len(many) + 1, dtype=dtype, device=many.device)
        torch.cumsum(self._many.flip(0), 0, dtype=dtype, out=self._sums[1:])
        # Zeros have no product above anything.
        self._least = torch.finfo(dtype).tiny

    def largest(self) -> Tensor:
        return self._few.max() * self._many[-1]

    def above(self, values: Tensor) -> Tensor:
        """[values, few]: how many products with each of ``few`` exceed each value."""
        bounds = (values[:, None] / self._few.clamp_min(self._least)).to(self._many.dtype)
        return len(self._many) - torch.searchsorted(self._many, bounds, right=True)

    def sum_of_largest(self, counts: Tensor) -> Tensor:
        """The sum of the products with the ``counts[i]`` largest, for each of ``few``."""
        return (self._few * self._sums[counts]).sum()

    def next(self, counts: Tensor) -> Tensor:
        """The largest product beyond the ``counts[i]`` largest with each of ``few``; 0 where all are."""
        places = len(self._many) - 1 - counts
        return torch.where(places < 0, 0, self._few * self._many[places.clamp_min(0)]).max()


def ascending(entries: Tensor) -> Tensor:
    """``entries`` sorted, on a CPU in place."""
    if entries.device.type != "cpu":
        return entries.sort().values
    # NumPy sorts in a fraction of torch's time, and without 8 bytes an entry for indices.
    entries.numpy().sort()
    return entries
