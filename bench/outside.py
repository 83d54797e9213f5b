"""K-LoRA with `loser` outside: what a Fuse pays for its candidates, first and when a dial is turned.

Needs no host.
"""

from __future__ import annotations

import time
from unittest.mock import patch

from klora_core.deltas import projection as inputs
from klora_core.methods.klora import outside as klora_outside

from . import slots
from .tables import Table

RANKS = (16, 64)
_MIB = 1 << 20


def table() -> Table:
    """SDXL's attention at each rank."""
    return Table(
        "Fuse with the loser outside: making the candidates of SDXL's 560 attention slots",
        ("case", "projections", "again", "first, CPU s", "again, CPU s", "kept, MiB"),
        tuple(map(_row, RANKS)),
        (
            "First: nothing is known of the pair. Again: another strength `outside`; contents are read anew. "
            "Both are spent once at a Fuse, not in a step. CPU seconds of all threads; projections are "
            "counted, one for each leader of a slot.",
        ),
    )


def _row(rank: int) -> tuple[str, ...]:
    pairs = [row.deltas for row in slots.random_rows(slots.sdxl(), (rank, rank))]
    known = inputs.SharedInputs(1 << 28)
    made = 0
    work = inputs.read_by

    def counted(*downs):  # type: ignore[no-untyped-def]
        nonlocal made
        made += 1
        return work(*downs)

    figures = []
    with patch.object(klora_outside, "_shared", known), patch.object(inputs, "read_by", counted):
        for strength in (0.5, 0.75):
            made, start = 0, time.process_time()
            for one, other in pairs:
                klora_outside.beside(one, other, strength)
            figures.append((made, time.process_time() - start))
    (first, cold), (again, warm) = figures
    return f"rank {rank}", str(first), str(again), f"{cold:.2f}", f"{warm:.2f}", f"{known.held / _MIB:.0f}"
