"""Small pieces of work in threads of their own, each of one thread: tiles and factors are too small to share.

The meeting at the end of every operation would cost more than the operation, and far more on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

FEW = 64
"""How many products of factors are worth a thread's turn."""


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], at_once: int = 1, start: Callable[[], None] = lambda: None
) -> Iterator[R]:
    """What ``work`` gives for each of ``items``, in order; a thread takes ``at_once`` of them at a time, and
    calls ``start`` before its first."""
    threads, every = torch.get_num_threads(), list(items)
    groups = [every[i : i + at_once] for i in range(0, len(every), at_once)]

    def begin() -> None:
        torch.set_num_threads(1)
        start()

    try:
        with ThreadPoolExecutor(threads, initializer=begin) as pool:
            for found in pool.map(lambda group: [work(item) for item in group], groups):
                yield from found
    finally:
        # The setting above is the thread's own, and also the default of threads to come.
        torch.set_num_threads(threads)
