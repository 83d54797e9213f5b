"""The layers that LoRAs of the real models change, by shape, with random factors. Needs no host."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from klora_core.deltas import Delta, Hadamard, Kron, LowRank, Row
from klora_core.names import Slot

Shape = tuple[int, int]
Rand = Callable[[int, int], Tensor]
Kind = Callable[[Rand, int, int, int], Delta]
"""(random matrix of a shape, out, in, rank) -> a weight change."""

LOKR_FACTOR = 16

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


def lora(rand: Rand, out: int, n: int, rank: int) -> Delta:
    """up @ down of ``rank``."""
    return LowRank(rand(out, rank), rand(rank, n), 1 / rank)


def lokr(rand: Rand, out: int, n: int, rank: int) -> Delta:
    """W1 of 16 x 16 (LyCORIS's factor) with W2 as a product of ``rank``."""
    w2 = rand(out // LOKR_FACTOR, rank), rand(rank, n // LOKR_FACTOR)
    return Kron(rand(LOKR_FACTOR, LOKR_FACTOR), w2, 1 / rank)


def loha(rand: Rand, out: int, n: int, rank: int) -> Delta:
    """Two products of ``rank``, multiplied entry by entry."""
    return Hadamard(rand(out, rank), rand(rank, n), rand(out, rank), rand(rank, n), 1 / rank)


KINDS: dict[str, Kind] = {"LoRA": lora, "LoKr": lokr, "LoHa": loha}


def random_rows(
    shapes: Iterable[Shape], ranks: tuple[int, int], kind: Kind = lora, device: str = "cpu"
) -> list[Row]:
    """Two LoRAs of ``ranks`` with normal factors in float32, one row for each shape.

    On the device ``meta`` they have shapes and no numbers.
    """
    rng = None if device == "meta" else torch.Generator(device).manual_seed(ranks[0])

    def rand(m: int, n: int) -> Tensor:
        return torch.randn(m, n, generator=rng, device=device)

    return [
        Row(Slot(f"slot.{i}"), tuple(kind(rand, *shape, rank) for rank in ranks))
        for i, shape in enumerate(shapes)
    ]
