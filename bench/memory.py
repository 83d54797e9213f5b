"""Bytes of the side path's buffers against the LoRAs' own factors, counted, not timed. Needs no host."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from klora_core.apply import Buffers, Target
from klora_core.deltas import Row

from . import slots
from .tables import Table

AIM = 1.2
_MIB = 1 << 20
_CASES = (
    ("SDXL attention, rank 16 and 16", slots.sdxl, (16, 16), slots.lora),
    ("SDXL attention, rank 8 and 128", slots.sdxl, (8, 128), slots.lora),
    ("SDXL attention, rank 128 and 128", slots.sdxl, (128, 128), slots.lora),
    ("FLUX split, rank 16 and 16", slots.flux, (16, 16), slots.lora),
    ("FLUX split, rank 16 and 32", slots.flux, (16, 32), slots.lora),
    ("FLUX split, LoKr of rank 16 and 16", slots.flux, (16, 16), slots.lokr),
    ("FLUX split, LoHa of rank 16 and 16", slots.flux, (16, 16), slots.loha),
)


def table(dtype: torch.dtype = torch.bfloat16) -> Table:
    """The node's own Buffers module for LoRAs of real shapes, in ``dtype``."""
    rows = []
    for name, shapes, ranks, kind in _CASES:
        ours, theirs = _buffer_bytes(slots.random_rows(shapes(), ranks, kind, "meta"), dtype)
        rows.append((name, f"{ours / theirs:.2f}", f"{ours / _MIB:.0f}", f"{theirs / _MIB:.0f}"))
    return Table(
        "Memory of the side path",
        ("two LoRAs", "buffers / factors", "buffers, MiB", "factors of both, MiB"),
        tuple(rows),
        (
            f"Counted from the Buffers module that the Fuse node hands to the host's memory management, "
            f"in {str(dtype).removeprefix('torch.')}. Aim: at most {AIM}.",
            "One set of buffers a layer, as large as the larger rank, holds the LoRA that is active there, "
            "LoKr and LoHa in their own factors. The LoRAs themselves stay in main memory, where the loader "
            "put them, and are not counted.",
        ),
    )


def _buffer_bytes(rows: Sequence[Row], dtype: torch.dtype) -> tuple[int, int]:
    # Shapes alone decide: the LoRAs need no memory, the buffers are real.
    targets, both = [], 0
    for row in rows:
        targets.append(Target(row.slot.name, row.slot.rows, row.deltas))
        both += sum(t.numel() for delta in row.deltas if delta for t in delta.tensors) * dtype.itemsize
    return sum(b.nbytes for b in Buffers(tuple(targets), dtype).parameters()), both
