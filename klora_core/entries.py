"""Top-K and L1 sums of one matrix's |entries|, made tile by tile and never kept (K-LoRA, Eqs. 3, 4 and 9).

On the CPU a threshold that rises with what was seen drops nearly all entries of a tile at one comparison.
On other devices the largest entries are sought in the blocks with the largest maxima, a fixed number of
them, so that no shape depends on the data and nothing waits for the device. Both are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from .deltas import Delta, Dense, LowRank
from .factored import as_float32

TILE_CPU = 1 << 18
_TILE_DEVICE = 1 << 22
_HEAD = 1 << 14


def sum_entries(delta: Delta, k: int, device: torch.device, room: Tensor | None = None) -> Tensor:
    """(sum of the ``k`` largest |entries|, sum of all |entries|) of dW, a tensor [2] on ``device``.

    Products and tile sums are float32, the sums over tiles float64 (float32 on MPS, which has no other).
    ``room``, float32 on ``device``, is overwritten with the tiles, where it is large enough for one.
    """
    sums = _sums_cpu if device.type == "cpu" else _sums_device
    return sums(delta, k, device, room) * abs(delta.scale)


def _sums_cpu(delta: Delta, k: int, device: torch.device, room: Tensor | None) -> Tensor:
    # NumPy compares, selects and partitions in a fifth to a tenth of torch's time on a CPU.
    kept, threshold, l1 = np.empty(0, np.float32), -1.0, 0.0
    above = np.empty(max(TILE_CPU, delta.shape[1]), np.bool_)
    for tile in _tiles(delta, device, TILE_CPU, room):
        l1 += tile.sum().item()
        for piece in _pieces(tile.numpy(), 0 if threshold >= 0 else max(_HEAD, 4 * k)):
            found = piece[np.greater(piece, threshold, out=above[: len(piece)])]
            kept = np.concatenate((kept, found)) if len(found) else kept
            if len(kept) > 2 * k or (threshold < 0 and len(kept) >= k):
                kept = _largest_of(kept, k)
                threshold = float(kept.min())
    best = _largest_of(kept, k) if len(kept) > k else kept
    return torch.tensor((best.sum(dtype=np.float64), l1), dtype=torch.float64)


def _pieces(entries: np.ndarray, head: int) -> tuple[np.ndarray, ...]:
    """The first ``head`` entries, which give a threshold, and the others, which meet it."""
    return (entries[:head], entries[head:]) if 0 < head < len(entries) else (entries,)


def _largest_of(entries: np.ndarray, k: int) -> np.ndarray:
    return np.partition(entries, len(entries) - k)[-k:]


def _sums_device(delta: Delta, k: int, device: torch.device, room: Tensor | None) -> Tensor:
    wide = torch.float32 if device.type == "mps" else torch.float64
    best: Tensor | None = None
    l1 = torch.zeros((), dtype=wide, device=device)
    for tile in _tiles(delta, device, _TILE_DEVICE, room):
        l1 += tile.sum()
        found = _largest(tile, k)
        best = found if best is None else torch.cat((best, found))
        if best.numel() > k:
            best = best.topk(k, sorted=False).values
    assert best is not None, "a matrix has rows"
    return torch.stack((best.sum(dtype=wide), l1))


def _tiles(delta: Delta, device: torch.device, entries: int, room: Tensor | None) -> Iterator[Tensor]:
    """|dW| / |scale| in flat float32 pieces of whole rows; a piece is valid until the next one."""
    out, n = delta.shape
    rows = max(1, min(out, entries // n))
    if room is None or room.numel() < rows * n:
        room = torch.empty(rows * n, dtype=torch.float32, device=device)
    make = _maker(delta, device)
    for start in range(0, out, rows):
        length = min(rows, out - start)
        yield make(start, length, room[: length * n].view(length, n)).abs_().view(-1)


def _maker(delta: Delta, device: torch.device) -> Callable[[int, int, Tensor], Tensor]:
    """(start, length, into) -> these rows of dW / scale."""
    if isinstance(delta, Dense):
        weight = delta.weight
        return lambda start, length, into: into.copy_(weight.narrow(0, start, length))
    if not isinstance(delta, LowRank):
        whole = delta.with_tensors(as_float32(delta.tensors, device))
        return lambda start, length, into: into.copy_(whole.rows(start, length).product())
    up = delta.up.to(device=device, dtype=torch.float32)
    down = delta.down.to(device=device, dtype=torch.float32)
    return lambda start, length, into: torch.mm(up.narrow(0, start, length), down, out=into)


def _block(n: int, k: int) -> int:
    # Maxima cost n / block, the opened blocks k * block: equal at sqrt(n / k).
    return min(64, 1 << max(1, round(math.log2(math.sqrt(max(1.0, n / k))))))


def _largest(entries: Tensor, k: int) -> Tensor:
    """The ``k`` largest of non-negative ``entries`` [n], or a copy of all of them where n <= k."""
    n = entries.numel()
    if n <= k:
        return entries.clone()
    block = _block(n, k)
    whole = n - n % block
    blocks = entries[:whole].view(-1, block)
    if len(blocks) > k:
        chosen = blocks.amax(dim=1).topk(k, sorted=False).indices
        entries = torch.cat((blocks[chosen].flatten(), entries[whole:]))
    return entries.topk(k, sorted=False).values
