"""Scoring on the GPU against plain torch there: dW made whole, `abs`, `topk`, `sum`, slot after slot."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from ... import scoring, slots
from ...tables import spread
from ..rows import MISSED, OK, Row

AIM = 5
_SMALL = [(96, 64)] * 6
CASES = (
    ("SDXL, 560 slots, rank 16", slots.sdxl, 16),
    ("FLUX, 494 slots, rank 16", slots.flux, 16),
    ("SDXL, 560 slots, rank 128", slots.sdxl, 128),
)


def rows(rehearse: bool) -> Iterator[Row]:
    """Both ways on the same tensors in turn; that they agree is checked before each case."""
    device, repeats = ("cpu", 1) if rehearse else ("cuda", 5)
    for name, shapes, rank in CASES:
        shape = _SMALL if rehearse else shapes()
        pairs = slots.random_rows(shape, (rank, rank), device=device)
        # The first run loads kernels.
        scoring.interleaved([pairs], device)
        times = scoring.interleaved([pairs] * repeats, device)
        ratios = [plain / ours for ours, plain in times]
        ours, plain = (spread([pair[who] for pair in times], ".3f", " s") for who in (0, 1))
        found = f"{spread(ratios, '.1f')} times as fast: {ours} against {plain}"
        yield Row(name, found, f"at least {AIM}", OK if median(ratios) >= AIM else MISSED)
