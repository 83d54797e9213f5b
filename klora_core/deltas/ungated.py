"""What can't be done with a change that depends on the layer's input, said before it is tried."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import KLoraError
from .gates import Gated
from .rows import Row


def check_ungated(rows: Sequence[Row], names: Sequence[str], done: str) -> None:
    """Raises KLoraError where a LoRA's layer has no matrix of its own; ``done`` says what needs one."""
    for row in rows:
        for name, delta in zip(names, row.deltas, strict=False):
            if isinstance(delta, Gated):
                raise KLoraError(
                    f"{name}: layer {row.slot.name} is {delta.kind}, which works by what the picture is, so "
                    f"that it can't be {done}.",
                    "Use LoRA Switch, LoRA Composite or CMLoRA in Compose LoRAs",
                )
