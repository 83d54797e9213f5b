"""Scoring against the bare product: the entries of dW made tile by tile and not looked at. Needs no host.

CPU time on one thread, which whatever else the machine does changes less than a clock's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from klora_core.deltas import LowRank, Row
from klora_core.scores.entries import TILE_CPU

from . import slots
from .scoring import ours
from .tables import SPREAD, Table, spread

_HEAD = ("case", "product, abs and sum", "scoring", "aim", "product, CPU s")


def table() -> Table:
    """LoRAs of SDXL and FLUX, by groups of slots."""
    sdxl, flux = slots.sdxl(), [slots.flux_stream(), slots.flux_single()]
    rows = (
        _row("SDXL attention, rank 16", [sdxl[i::35] for i in range(9)], 16, 1.5),
        _row("SDXL attention, rank 128", [sdxl[i::105] for i in range(9)], 128, 1.25),
        _row("FLUX split, rank 16", flux * 2, 16, 1.5),
    )
    return Table(
        "Scoring against the bare product on one thread of the CPU",
        _HEAD,
        rows,
        (
            f"CPU time as a multiple of the product's alone: {SPREAD} over groups of slots, both LoRAs, "
            "normal random factors in float32, K = rank x rank. Seconds: the product, over all groups.",
            "Product, abs and sum: the least that the L1 sums take.",
        ),
    )


def _row(name: str, groups: Sequence[Sequence[slots.Shape]], rank: int, aim: float) -> tuple[str, ...]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = [_times(slots.random_rows(shapes, (rank, rank))) for shapes in groups]
    finally:
        torch.set_num_threads(threads)
    least, whole = ([group[which] / group[0] for group in times] for which in (1, 2))
    figures = (
        spread(least, ".2f"),
        spread(whole, ".2f"),
        f"{aim:g}",
        f"{sum(group[0] for group in times):.2f}",
    )
    return name, *figures


def _times(rows: Sequence[Row]) -> tuple[float, float, float]:
    """CPU seconds of the product, of product, abs and sum, and of scoring; each after a first, short run."""
    room = torch.empty(TILE_CPU)
    works: tuple[Callable[[Sequence[Row]], object], ...] = (
        lambda part: [None for _ in _tiles(part, room)],
        lambda part: [tile.abs_().sum().item() for tile in _tiles(part, room)],
        ours,
    )
    found = []
    for work in works:
        work(rows[:1])
        start = time.process_time()
        work(rows)
        found.append(time.process_time() - start)
    return found[0], found[1], found[2]


def _tiles(rows: Sequence[Row], room: Tensor) -> Iterator[Tensor]:
    """dW / scale of each LoRA in turn, in pieces of whole rows, as scoring makes them."""
    with torch.inference_mode():
        for row in rows:
            for delta in row.deltas:
                assert isinstance(delta, LowRank)
                out, n = delta.shape
                step = min(out, TILE_CPU // n)
                for up in delta.up.split(step):
                    into = room[: len(up) * n].view(len(up), n)
                    yield torch.mm(up, delta.down, out=into)
