"""Top-K and L1 sums of one matrix's |entries|, made tile by tile and never kept (K-LoRA, Eqs. 3, 4 and 9).

On the CPU a threshold that rises with what was seen drops nearly all blocks of a tile by their maxima.
On other devices the largest entries are sought in the blocks with the largest maxima, a fixed number of
them, so that no shape depends on the data and nothing waits for the device. Both are exact. A Kronecker
product is not made: its entries are the products of two lists.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..deltas import Delta, Dense, Hadamard, Kron, Tiles, as_float32
from .kronecker import Lists, largest_products, pieces

TILE_CPU = 1 << 18
TILE_DEVICE = 1 << 22
_NO_THRESHOLD = np.float32(-1.0)


def sum_entries(delta: Delta, k: int, device: torch.device, room: Tensor | None = None) -> Tensor:
    """(sum of the ``k`` largest |entries|, sum of all |entries|) of dW, a tensor [2] on ``device``.

    Products and tile sums are float32, the sums over tiles float64 (float32 on MPS, which has no other).
    ``room``, float32 on ``device``, is overwritten with the tiles, where it is large enough for one.
    """
    parts = pieces(delta) if isinstance(delta, Kron) else None
    if parts is not None:
        sums = _kronecker(parts, k, device, room)
    else:
        best, l1 = _top(delta, k, device, room)
        sums = torch.stack((l1 if best is None else best.sum(dtype=wide(device)), l1))
    return sums * abs(delta.scale)


def sums_at(delta: Delta, ks: Sequence[int], device: torch.device, room: Tensor | None = None) -> Tensor:
    """:func:`sum_entries` at each of ``ks``, [len(ks), 2]: the matrix is made once for all of them.

    The sum of fewer entries is made of those that were found for more, so it may differ in its last bit.
    """
    few = [k for k in ks if k < math.prod(delta.shape)]
    if len(ks) < 2 or len(few) < 2 or isinstance(delta, Kron):
        return torch.stack([sum_entries(delta, k, device, room) for k in ks])
    best, l1 = _top(delta, max(few), device, room)
    assert best is not None
    sums = [best.topk(k, sorted=False).values.sum(dtype=wide(device)) if k in few else l1 for k in ks]
    return torch.stack([torch.stack((top, l1)) for top in sums]) * abs(delta.scale)


def wide(device: torch.device) -> torch.dtype:
    """What sums are kept in: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def _kronecker(
    parts: Sequence[tuple[Delta, Delta]], k: int, device: torch.device, room: Tensor | None
) -> Tensor:
    def l1_of(sums: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        return torch.stack([one * two for one, two in sums]).sum().to(wide(device))

    if k >= sum(math.prod(one.shape) * math.prod(two.shape) for one, two in parts):
        l1 = l1_of([(_top(one, k, device, room)[1], _top(two, k, device, room)[1]) for one, two in parts])
        return torch.stack((l1, l1))
    found = [(_list(one, k, device, room), _list(two, k, device, room)) for one, two in parts]
    lists = [Lists(one[0], two[0]) for one, two in found]
    top = largest_products(lists, k, wide(device))
    return torch.stack((top, l1_of([(one[1], two[1]) for one, two in found])))


def _list(delta: Delta, k: int, device: torch.device, room: Tensor | None) -> tuple[Tensor, Tensor]:
    """The ``k`` largest |entries| of dW / |scale|, or all where there are fewer; and the sum of all."""
    best, l1 = _top(delta, k, device, room)
    return delta.dense(device).abs_().view(-1) if best is None else best, l1


def _top(delta: Delta, k: int, device: torch.device, room: Tensor | None) -> tuple[Tensor | None, Tensor]:
    """(the ``k`` largest |entries| of dW / |scale|, None where that is all of them; their sum)."""
    top = top_on_cpu if device.type == "cpu" else top_on_device
    return top(delta, 0 if k >= math.prod(delta.shape) else k, device, room)


def top_on_cpu(
    delta: Delta, k: int, device: torch.device, room: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """As `_top`, for a CPU."""
    # NumPy compares, selects and partitions in a fifth to a tenth of torch's time on a CPU.
    kept, threshold, l1, seen = np.empty(0, np.float32), _NO_THRESHOLD, 0.0, 0
    for tile in _tiles(delta, device, TILE_CPU, room):
        l1 += tile.sum().item()
        if not k:
            continue
        seen += tile.numel()
        found = _above(tile.numpy(), threshold, k, _block(seen, k))
        kept = np.concatenate((kept, found)) if len(found) else kept
        if len(kept) > 2 * k or (threshold < 0 and len(kept) >= k):
            kept = _largest_of(kept, k)
            threshold = kept.min()
    best = _largest_of(kept, k) if len(kept) > k else kept
    return torch.from_numpy(best) if k else None, torch.tensor(l1, dtype=torch.float64)


def _above(entries: np.ndarray, threshold: np.float32, k: int, block: int) -> np.ndarray:
    """All ``entries`` above ``threshold``; or, where there is none yet, the ``k`` largest and a few more.

    Whole blocks are dropped by their maxima: one pass over all entries, and what follows sees few. Entries of
    a block lie far apart, so that the maxima are found in whole vectors.
    """
    whole = len(entries) - len(entries) % block
    blocks = entries[:whole].reshape(block, -1)
    maxima = blocks.max(axis=0)
    least = 0
    if threshold < 0 and len(maxima) > k:
        threshold, least = _largest_of(maxima, k).min(), k
    left = blocks.take(_indices(maxima > threshold), axis=1).ravel()
    if whole < len(entries):
        left = np.concatenate((left, entries[whole:]))
    found = left[_indices(left > threshold)]
    # k maxima, so at least k entries, are as large as the k-th of them: what is missing equals it.
    missing = max(0, least - len(found))
    return np.concatenate((found, np.full(missing, threshold))) if missing else found


def _indices(chosen: np.ndarray) -> np.ndarray:
    # To choose by places is faster than by truths where many are chosen: there is no branch to guess wrong.
    return chosen.nonzero()[0]


def _largest_of(entries: np.ndarray, k: int) -> np.ndarray:
    return np.partition(entries, len(entries) - k)[-k:]


def top_on_device(
    delta: Delta, k: int, device: torch.device, room: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """As `_top`, for any other device."""
    best: Tensor | None = None
    l1 = torch.zeros((), dtype=wide(device), device=device)
    for tile in _tiles(delta, device, TILE_DEVICE, room):
        l1 += tile.sum()
        if k:
            found = _largest(tile, k)
            best = found if best is None else torch.cat((best, found))
            if best.numel() > k:
                best = best.topk(k, sorted=False).values
    return best, l1


def _tiles(delta: Delta, device: torch.device, entries: int, room: Tensor | None) -> Iterator[Tensor]:
    """|dW| / |scale| in flat float32 pieces of whole rows; a piece is valid until the next one."""
    # A LoHa's tile is the product of two, which share the room.
    entries = entries // 2 if isinstance(delta, Hadamard) else entries
    # A matrix is cast as it is copied.
    exact = delta if isinstance(delta, Dense) else delta.with_tensors(as_float32(delta.tensors, device))
    tiles = Tiles(exact, entries)
    if room is None or room.numel() < tiles.room:
        room = torch.empty(tiles.room, dtype=torch.float32, device=device)
    for _, tile in tiles(room):
        yield tile.abs_().view(-1)


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
