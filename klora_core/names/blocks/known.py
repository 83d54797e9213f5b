"""What of a LoRA is left where its blocks are weighed by hand, and whether its network has what is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Protocol, TypeVar

from ...errors import KLoraError, printable
from ..bases import base_model_of
from ..slots import Slot, block, depth_key
from .halves import FAMILIES, PRESETS, family_of
from .strengths import EVERYWHERE, BlockStrengths, Entry, strengths_of


class Sized(Protocol):
    """What a LoRA does to a slot."""

    @property
    def shape(self) -> tuple[int, int]: ...


T = TypeVar("T", bound=Sized)


def in_blocks(changes: Mapping[Slot, T], blocks: str, others: Iterable[str] = ()) -> Mapping[Slot, T]:
    """The slots where ``blocks`` (``down 1-3: 0, up: 0.5``) leave a LoRA a strength; not weighed by it.

    A slot at strength 0 competes with nobody, as if the LoRA did not change it. ``others`` are further layers
    of its network. Raises KLoraError for a text that can't be read, or that names a block that is not there.
    """
    strengths = strengths_of(blocks)
    if not strengths.text:
        return changes
    check_blocks(strengths, {slot.name: change.shape for slot, change in changes.items()}, others)
    return {slot: change for slot, change in changes.items() if strengths.of(slot.name) != 0}


def check_blocks(
    strengths: BlockStrengths, own: Mapping[str, tuple[int, int]], others: Iterable[str] = ()
) -> None:
    """Raises KLoraError, with the blocks that there are, where ``strengths`` name one that is not there.

    ``own`` are the LoRA's slots, [out, n] by name, ``others`` the names of further layers of the network.
    """
    if strengths.preset and family_of(own) is None:
        raise _no_half(strengths.preset, own)
    names = [*own, *others]
    places = dict.fromkeys(block(name) for name in names)
    for entry in strengths.entries:
        if entry.name != EVERYWHERE and not any(entry.has(*place) for place in places):
            raise _unknown(entry, names)


def _no_half(preset: str, own: Mapping[str, tuple[int, int]]) -> KLoraError:
    base = base_model_of(own)
    why = (
        f"this LoRA changes nothing that {' or '.join(PRESETS)} names"
        if base is not None and any(map(base.fits, FAMILIES))
        else f"{preset} is known of {' and '.join(FAMILIES)} alone, and this is a LoRA of another base model"
    )
    return KLoraError(f"blocks: {why}. Its blocks are {_listed(own)}.", "Name blocks of the LoRA instead")


def _unknown(entry: Entry, names: Iterable[str]) -> KLoraError:
    return KLoraError(
        f"blocks: there is no {printable(entry)} here. There are {_listed(names)}; {EVERYWHERE} names them "
        f"all. Presets are {' and '.join(PRESETS)}.",
        "Name a block that is there",
    )


def _listed(names: Iterable[str]) -> str:
    """Blocks in the order of the network, those of a stage with numbers: ``down 1-2, 4, mid, up 0-8``."""
    ordered = dict.fromkeys(block(name) for name in sorted(names, key=depth_key))
    numbers: dict[str, list[int]] = {}
    for _, own in ordered:
        stage, _, number = own.rpartition(" ")
        if number.isdigit() and stage:
            numbers.setdefault(stage, []).append(int(number))
        else:
            numbers.setdefault(own, [])
    return ", ".join(f"{stage} {_ranges(of)}" if of else stage for stage, of in numbers.items())


def _ranges(numbers: Iterable[int]) -> str:
    ordered = sorted(set(numbers))
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
