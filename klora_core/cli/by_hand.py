"""What the command line is told of each LoRA, one value a LoRA in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import files
from ..deltas import Deltas
from ..errors import KLoraError, naming
from ..methods import When
from ..names import in_blocks

BLOCKS_HELP = (
    'a text for each LoRA: how strongly it works in which blocks ("down 1-3: 0, mid: 0.5", content, style; '
    '"" everywhere alike)'
)


def at_work(loras: Sequence[files.LoraFile], blocks: Sequence[str] | None) -> list[Deltas]:
    """The slots that ``blocks`` leave to each LoRA; None leaves all. Raises KLoraError, with its name."""
    if blocks is None:
        return [lora.slots for lora in loras]
    if len(blocks) != len(loras):
        raise KLoraError(
            f"got {len(blocks)} --blocks for {len(loras)} LoRAs.",
            'Give one --blocks for each LoRA, "" for none',
        )
    elsewhere = [slot.name for lora in loras for slot in lora.slots]
    found = []
    for lora, own in zip(loras, blocks, strict=True):
        with naming(lora.name):
            found.append(in_blocks(lora.slots, own, elsewhere))
    if not any(found):
        raise KLoraError("--blocks leave no LoRA a layer to work in.", "Give one LoRA a strength")
    return found


def add_when(add: Callable[..., Any]) -> None:
    """The options of LoRAs by hand."""
    add(
        "--start",
        type=float,
        nargs="+",
        metavar="X",
        help="for each LoRA: from which share of a run on",
    )
    add("--end", type=float, nargs="+", metavar="X", help="for each LoRA: until which share of a run")
    curve = 'a text for each LoRA: its strength over the run, "0:1, 0.4:0.6, 1:0" ("": 1)'
    add("--curve", nargs="+", metavar="TEXT", help=curve)
    add("--blocks", nargs="+", metavar="TEXT", help=BLOCKS_HELP)


def when_of(given: Mapping[str, Any], names: Sequence[str]) -> tuple[When, ...]:
    """When each of the LoRAs ``names`` works, by the options. Raises KLoraError, with its name."""
    found = []
    for name, default in (("start", 0.0), ("end", 1.0), ("curve", "")):
        own = given.get(name, [default] * len(names))
        check_count(f"--{name}", own, len(names))
        found.append(own)
    return tuple(_when(name, *own) for name, *own in zip(names, *found, strict=True))


def _when(name: str, start: float, end: float, curve: str) -> When:
    with naming(name):
        return When(start, end, curve)


def check_count(name: str, own: Sequence[Any], count: int) -> None:
    """Raise KLoraError unless there is one for each LoRA."""
    if len(own) != count:
        raise KLoraError(
            f"got {len(own)} {name} for {count} LoRAs.", f"Give one {name} for each LoRA, in their order"
        )
