"""Scores of weight changes (K-LoRA, Eqs. 3 and 4): once per LoRA and K, never per step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from typing import NamedTuple

import torch
from torch import Tensor

from ..deltas import Delta
from ..progress import Callback
from .entries import TILE_CPU, sum_entries, sums_at, wide
from .side_by_side import side_by_side


class Request(NamedTuple):
    """A weight change to score, and the number ``k`` of its largest |entries| to sum."""

    delta: Delta
    k: int


class Key(NamedTuple):
    """What a score belongs to: the digest of a weight change, and K."""

    content: bytes
    k: int


class Score(NamedTuple):
    """Sum of the k largest |entries| of dW (Eqs. 3, 4), and of all of them (for Eq. 9)."""

    top_k: float
    l1: float


Scorer = Callable[[Sequence[Request]], Sequence[Score]]


def score(
    requests: Sequence[Request], device: torch.device | str = "cpu", progress: Callback | None = None
) -> list[Score]:
    """Score every request on ``device``; ``progress(done, total)`` after each.

    The numbers leave the device once, together.
    """
    device = torch.device(device)
    # Made once, as the threads' buffers are: small results that stay would leave holes in the memory.
    sums = torch.zeros(len(requests), 2, dtype=wide(device), device=device)
    with _full_float32():
        found = _in_threads(requests) if device.type == "cpu" else _one_by_one(requests, device)
        for i, each in enumerate(found):
            sums[i] = each
            if progress is not None:
                progress(i + 1, len(requests))
    return [Score(*pair) for pair in sums.cpu().tolist()]


def _one_by_one(requests: Iterable[Request], device: torch.device) -> Iterator[Tensor]:
    return (_sums(request, device) for request in requests)


def _sums(request: Request, device: torch.device) -> Tensor:
    """[top-K, L1], float64 (float32 on MPS) on ``device``."""
    with torch.inference_mode():
        return sum_entries(request.delta, request.k, device)


def _in_threads(requests: Sequence[Request]) -> Iterator[Tensor]:
    """Neighbours that ask for one change at several K are worked out together."""
    cpu, own = torch.device("cpu"), threading.local()

    def start() -> None:
        # Made once: one for each slot, between results that stay, would leave holes that nothing fits.
        own.buffer = torch.empty(TILE_CPU)

    def work(group: list[Request]) -> Tensor:
        with torch.inference_mode():
            return sums_at(group[0].delta, [request.k for request in group], cpu, own.buffer)

    groups = [list(group) for _, group in groupby(requests, lambda request: id(request.delta))]
    return chain.from_iterable(side_by_side(work, groups, start=start))


@contextmanager
def _full_float32() -> Iterator[None]:
    """Keeps TF32 out of the products: its 10 bits would change who wins."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
