"""Top-K and L1 sums of |dW| (K-LoRA, Eqs. 3 to 5 and 9), without keeping dW.

The product is made tile by tile in float32. Its largest entries lie in the blocks with the largest
maxima, so only those blocks are looked at: exact, with shapes that do not depend on the data, hence
without a device-to-host sync.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from .deltas import Delta, LowRank
from .pairing import SlotPair
from .plan import ScoredSlot

_TILE_ENTRIES = {"cpu": 1 << 18}
_TILE_ENTRIES_GPU = 1 << 23


def top_k(pair: SlotPair) -> int:
    """K = r_c * r_s (Eq. 5), at most the number of entries."""
    return min(pair.subject.rank * pair.style.rank, math.prod(pair.subject.shape))


def score_pairs(
    pairs: Sequence[SlotPair],
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[ScoredSlot]:
    """Score every slot for both LoRAs, on ``device``; ``progress(done, total)`` after each slot.

    Sums are made in float32 over tiles and joined in float64. The results leave the device once, together.
    """
    device = torch.device(device)
    sums: list[Tensor] = []
    with torch.inference_mode(), _full_float32():
        for done, pair in enumerate(pairs, 1):
            k = top_k(pair)
            sums += [sum_entries(pair.subject, k, device), sum_entries(pair.style, k, device)]
            if progress is not None:
                progress(done, len(pairs))
        numbers = torch.stack(sums).cpu().tolist() if sums else []
    return [
        ScoredSlot(
            name=pair.slot.name,
            shape=pair.subject.shape,
            rank_subject=pair.subject.rank,
            rank_style=pair.style.rank,
            k=top_k(pair),
            score_subject=subject[0],
            score_style=style[0],
            l1_subject=subject[1],
            l1_style=style[1],
        )
        for pair, subject, style in zip(pairs, numbers[0::2], numbers[1::2], strict=True)
    ]


def sum_entries(delta: Delta, k: int, device: torch.device) -> Tensor:
    """(sum of the ``k`` largest |entries|, sum of all |entries|) of dW, a tensor [2] on ``device``."""
    wide = torch.float32 if device.type == "mps" else torch.float64
    out, n = delta.shape
    rows = max(1, _TILE_ENTRIES.get(device.type, _TILE_ENTRIES_GPU) // n)
    best: Tensor | None = None
    l1 = torch.zeros((), dtype=wide, device=device)
    tile_of = _tiles(delta, device)
    for start in range(0, out, rows):
        tile = tile_of(start, min(rows, out - start))
        l1 += torch.linalg.vector_norm(tile, 1)
        found = _largest(tile.abs_().flatten(), k)
        best = found if best is None else torch.cat((best, found))
        if best.numel() > k:
            best = best.topk(k, sorted=False).values
    assert best is not None
    return torch.stack((best.sum(dtype=wide), l1)) * abs(delta.scale)


def _tiles(delta: Delta, device: torch.device) -> Callable[[int, int], Tensor]:
    """A function (start, length) -> those rows of dW / scale, a fresh float32 matrix on ``device``."""
    if isinstance(delta, LowRank):
        up = delta.up.to(device=device, dtype=torch.float32)
        down = delta.down.to(device=device, dtype=torch.float32)
        return lambda start, length: up.narrow(0, start, length) @ down
    weight = delta.weight
    return lambda start, length: weight.narrow(0, start, length).to(
        device=device, dtype=torch.float32, copy=True
    )


def _largest(entries: Tensor, k: int) -> Tensor:
    """The ``k`` largest of non-negative ``entries`` [n], or all of them where n <= k."""
    n = entries.numel()
    if n <= k:
        return entries.clone()
    # Maxima cost n / block, the chosen blocks k * block: equal at sqrt(n / k).
    block = 1 << max(0, round(math.log2(math.sqrt(n / k))))
    whole = n - n % block
    blocks = entries[:whole].view(-1, block)
    if block >= 2 and len(blocks) > k:
        chosen = blocks.amax(dim=1).topk(k, sorted=False).indices
        entries = torch.cat((blocks[chosen].flatten(), entries[whole:]))
    return entries.topk(k, sorted=False).values


@contextmanager
def _full_float32() -> Iterator[None]:
    """Keeps TF32 out of the products: its 10 bits would change who wins."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
