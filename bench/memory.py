"""Bytes of the side path's buffers against the LoRAs' own factors, counted, not timed. Needs the host."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import torch

from . import slots
from .contenders import load_pack
from .tables import Table

AIM = 1.2
_MIB = 1 << 20
_CASES = (
    ("SDXL attention, rank 16 and 16", slots.sdxl, 16, 16),
    ("SDXL attention, rank 8 and 128", slots.sdxl, 8, 128),
    ("SDXL attention, rank 128 and 128", slots.sdxl, 128, 128),
    ("FLUX split, rank 16 and 16", slots.flux, 16, 16),
    ("FLUX split, rank 16 and 32", slots.flux, 16, 32),
)


def table(dtype: torch.dtype = torch.bfloat16) -> Table:
    """The node's own Buffers module for LoRAs of real shapes, in ``dtype``."""
    rows = []
    for name, shapes, subject, style in _CASES:
        ours, theirs = _buffer_bytes(shapes(), (subject, style), dtype)
        rows.append((name, f"{ours / theirs:.2f}", f"{ours / _MIB:.0f}", f"{theirs / _MIB:.0f}"))
    return Table(
        "Memory of the side path",
        ("two LoRAs", "buffers / factors", "buffers, MiB", "factors of both, MiB"),
        tuple(rows),
        (
            f"Counted from the Buffers module that the Fuse node hands to the host's memory management, "
            f"in {str(dtype).removeprefix('torch.')}. Aim: at most {AIM}.",
            "One pair of buffers a layer, as large as the larger rank, holds the LoRA that is active there. "
            "The LoRAs themselves stay in main memory, where the loader put them, and are not counted.",
        ),
    )


def _buffer_bytes(
    shapes: Iterable[slots.Shape], ranks: tuple[int, int], dtype: torch.dtype
) -> tuple[int, int]:
    pack = load_pack()
    apply = importlib.import_module(f"{pack.__name__}.klora_core.apply")
    low_rank = importlib.import_module(f"{pack.__name__}.klora_core.deltas").LowRank
    # Shapes alone decide: the LoRAs need no memory, the buffers are real.
    targets, both = [], 0
    for i, (out, n) in enumerate(shapes):
        deltas = [
            low_rank(torch.empty(out, r, device="meta"), torch.empty(r, n, device="meta")) for r in ranks
        ]
        targets.append(apply.Target(f"slot.{i}", None, tuple(deltas)))
        both += sum(out * r + r * n for r in ranks) * dtype.itemsize
    return sum(b.nbytes for b in apply.Buffers(tuple(targets), dtype).parameters()), both
