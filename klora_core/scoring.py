"""Scores of the competing slots (K-LoRA, Eqs. 3 to 5): once per LoRA pair, never per step."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from .entries import TILE_CPU, sum_entries
from .pairing import SlotPair
from .plan import ScoredSlot

Progress = Callable[[int, int], None]


def top_k(pair: SlotPair) -> int:
    """K = r_c * r_s (Eq. 5), at most the number of entries."""
    return min(pair.subject.rank * pair.style.rank, math.prod(pair.subject.shape))


def score_pairs(
    pairs: Sequence[SlotPair], device: torch.device | str = "cpu", progress: Progress | None = None
) -> list[ScoredSlot]:
    """Score every slot for both LoRAs on ``device``; ``progress(done, total)`` after each slot.

    The numbers leave the device once, together.
    """
    device = torch.device(device)
    sums: list[Tensor] = []
    with _full_float32():
        results = _in_threads(pairs) if device.type == "cpu" else (_score(p, device) for p in pairs)
        for done, pair_sums in enumerate(results, 1):
            sums.append(pair_sums)
            if progress is not None:
                progress(done, len(pairs))
    numbers = torch.stack(sums).cpu().tolist() if sums else []
    return [_scored(pair, *subject_and_style) for pair, subject_and_style in zip(pairs, numbers, strict=True)]


def _score(pair: SlotPair, device: torch.device, room: Tensor | None = None) -> Tensor:
    """[[top-K, L1] of the subject, the same of the style]."""
    with torch.inference_mode():
        k = top_k(pair)
        return torch.stack([sum_entries(delta, k, device, room) for delta in (pair.subject, pair.style)])


def _in_threads(pairs: Sequence[SlotPair]) -> Iterator[Tensor]:
    """Slots side by side, one thread each.

    Tiles are too small to be shared by threads: the meeting at the end of every operation would cost more
    than the operation, and far more on a busy machine.
    """
    threads = torch.get_num_threads()
    cpu, own = torch.device("cpu"), threading.local()

    def start() -> None:
        torch.set_num_threads(1)
        # Made once: one for each slot, between results that stay, would leave holes that nothing fits.
        own.room = torch.empty(TILE_CPU)

    try:
        with ThreadPoolExecutor(threads, initializer=start) as pool:
            yield from pool.map(lambda pair: _score(pair, cpu, own.room), pairs)
    finally:
        # The setting above is the thread's own, and also the default of threads to come.
        torch.set_num_threads(threads)


def _scored(pair: SlotPair, subject: tuple[float, float], style: tuple[float, float]) -> ScoredSlot:
    return ScoredSlot(
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


@contextmanager
def _full_float32() -> Iterator[None]:
    """Keeps TF32 out of the products: its 10 bits would change who wins."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
