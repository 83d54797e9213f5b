"""The layers that LoRAs of the real models change, by shape, with random factors. Needs no host."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from klora_core.deltas import LowRank, Slot
from klora_core.pairing import SlotPair

Shape = tuple[int, int]

SDXL_SLOTS, SDXL_ENTRIES = 560, 955_187_200
FLUX_SLOTS = 494


def _attention(width: int, context: int) -> list[Shape]:
    """q, k, v and out of a transformer block's self-attention, then of its cross-attention."""
    square = (width, width)
    return [*[square] * 4, square, (width, context), (width, context), square]


def sdxl() -> list[Shape]:
    """(out, in) of SDXL's attention projections: 10 transformer blocks 640 wide and 60 of 1280."""
    shapes = [
        shape for width, blocks in ((640, 10), (1280, 60)) for shape in _attention(width, 2048) * blocks
    ]
    assert (len(shapes), entries(shapes)) == (SDXL_SLOTS, SDXL_ENTRIES)
    return shapes


def flux_stream() -> list[Shape]:
    """One stream, image or text, of a FLUX double block: q, k, v, proj, feed-forward, modulation."""
    return [*[(3072, 3072)] * 4, (12288, 3072), (3072, 12288), (18432, 3072)]


def flux_single() -> list[Shape]:
    """A FLUX single block: q, k, v, proj_mlp, proj_out, modulation."""
    return [*[(3072, 3072)] * 3, (12288, 3072), (3072, 15360), (9216, 3072)]


def flux() -> list[Shape]:
    """(out, in) of FLUX's linears, split as diffusers names them: 19 double and 38 single blocks."""
    shapes = flux_stream() * 2 * 19 + flux_single() * 38
    assert len(shapes) == FLUX_SLOTS
    return shapes


def entries(shapes: Iterable[Shape]) -> int:
    """Entries of the dense weight changes."""
    return sum(out * n for out, n in shapes)


def random_pairs(shapes: Iterable[Shape], rank: int, device: str = "cpu") -> list[SlotPair]:
    """Two LoRAs of ``rank`` with normal factors in float32, one slot for each shape."""
    rng = torch.Generator(device).manual_seed(rank)

    def delta(out: int, n: int) -> LowRank:
        return LowRank(
            torch.randn(out, rank, generator=rng, device=device),
            torch.randn(rank, n, generator=rng, device=device),
            1 / rank,
        )

    return [SlotPair(Slot(f"slot.{i}"), delta(*shape), delta(*shape)) for i, shape in enumerate(shapes)]
