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


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], start: Callable[[], None] = lambda: None
) -> Iterator[R]:
    """What ``work`` gives for each of ``items``, in order; ``start`` is called once in each thread."""
    threads = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(1)
        start()

    try:
        with ThreadPoolExecutor(threads, initializer=begin) as pool:
            yield from pool.map(work, items)
    finally:
        # The setting above is the thread's own, and also the default of threads to come.
        torch.set_num_threads(threads)
