"""The magnitude above which the largest entries of whole LoRAs lie, exactly, without holding them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..deltas import Delta, LowRank, Tiles, spans

TILE = 1 << 19
# Of one layer a hundredth is sampled, of a whole LoRA this many.
SAMPLES, SAMPLED_SHARE = 400_000, 0.01
# Standard errors of the sample's quantile around which the answer is looked for; the last is no limit.
_MARGINS = (6.0, 40.0, math.inf)


def scaled_tiles(change: Delta, device: torch.device | str = "cpu") -> Iterator[tuple[int, Tensor]]:
    """dW [out, n] as (first row, float32 rows), ``TILE`` entries at a time; one shape is always cut alike.

    Rows are valid until the next ones.
    """
    if isinstance(change, LowRank):
        up, down = (tensor.to(device, torch.float32) for tensor in change.tensors)
        for (start, _), rows in Tiles(LowRank(up * change.scale, down), TILE)():
            yield start, rows
    else:
        whole = change.dense(device)
        for start, length in spans(change.shape, TILE):
            yield start, whole.narrow(0, start, length)


def threshold(
    changes: Sequence[Delta],
    density: float,
    done: Callable[[], None] | None = None,
    device: torch.device | str = "cpu",
) -> float:
    """The magnitude of the k-th largest |entry| of all ``changes`` together, k = int(density * entries).

    Entries of that magnitude and above are the density's share (more than k where several are equal to it).
    inf where k = 0, 0 where all are kept. Exact: a sample says between which two values the answer lies,
    one pass over the products counts what is above and keeps only what is between. ``done`` is called
    after each change of that pass.
    """
    total = sum(change.shape[0] * change.shape[1] for change in changes)
    k = int(density * total)
    if k <= 0:
        return math.inf
    if k >= total:
        return 0.0
    sample = sampled(changes, total)
    for margin in _MARGINS:
        low, high = _bracket(sample, k / total, margin)
        found = _between(changes, k, low, high, done, device)
        if found is not None:
            return found
    raise AssertionError("the last bracket holds every entry")


def sampled(changes: Sequence[Delta], total: int) -> Tensor:
    """Sorted magnitudes of some of the entries, drawn alike from every change, from a fixed seed."""
    wanted = min(SAMPLES, max(4096.0, SAMPLED_SHARE * total))
    seeded = torch.Generator().manual_seed(0)
    drawn = []
    for change in changes:
        out, n = change.shape
        count = min(out * n, math.ceil(wanted * out * n / total))
        i = torch.randint(out, (count,), generator=seeded)
        j = torch.randint(n, (count,), generator=seeded)
        if isinstance(change, LowRank):
            entries = (change.up[i].float() * change.down[:, j].T.float()).sum(dim=1) * change.scale
        else:
            entries = change.dense()[i, j]
        drawn.append(entries.abs())
    return torch.cat(drawn).sort().values


def _bracket(sample: Tensor, share: float, margin: float) -> tuple[float, float]:
    """Two magnitudes around the one that ``share`` of all entries exceed."""
    count = len(sample)
    at = (1 - share) * count
    spread = margin * math.sqrt(max(share * (1 - share), 1 / count) * count) + 2
    low, high = at - spread, at + spread
    return (
        sample[int(low)].item() if low >= 0 else 0.0,
        sample[int(high)].item() if high < count else math.inf,
    )


def _between(
    changes: Sequence[Delta],
    k: int,
    low: float,
    high: float,
    done: Callable[[], None] | None,
    device: torch.device | str,
) -> float | None:
    """The k-th largest magnitude if it lies in [low, high], else None."""
    above = at_high = at_low = 0
    between = _Pile()
    for change in changes:
        for _, tile in scaled_tiles(change, device):
            magnitude = tile.abs()
            above += int(torch.count_nonzero(magnitude > high))
            near = magnitude[(magnitude >= low) & (magnitude <= high)]
            # Equal entries by the million (zeros) are counted, never kept.
            at_high += int(torch.count_nonzero(near == high))
            at_low += int(torch.count_nonzero(near == low)) if low < high else 0
            between.add(near[(near > low) & (near < high)])
        if done is not None:
            done()
    strictly = between.values()
    position = k - above
    if position <= 0:
        return None
    if position <= at_high:
        return high
    position -= at_high
    if position <= len(strictly):
        return strictly.kthvalue(len(strictly) - position + 1).values.item()
    return low if position - len(strictly) <= at_low else None


class _Pile:
    """Values that come in small portions, in one growing tensor: thousands of small ones scatter the heap."""

    def __init__(self) -> None:
        self._room, self._count = torch.empty(1 << 16), 0

    def add(self, values: Tensor) -> None:
        stop = self._count + len(values)
        if stop > len(self._room):
            self._room = torch.cat((self._room[: self._count], torch.empty(max(stop, len(self._room)))))
        self._room[self._count : stop] = values
        self._count = stop

    def values(self) -> Tensor:
        return self._room[: self._count]
