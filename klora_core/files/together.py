"""LoRA files read together: one spelling for all, and each module placed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .. import names
from ..deltas import Delta
from ..errors import KLoraError, naming
from ..names import Layout, Placed, Slot
from .lora_file import LoraFile, lora_of, open_lora
from .values import twice


def read(path: str | Path, for_model: bool = False) -> LoraFile:
    """A LoRA file with its slots; ``for_model`` without: what fits it to the model finds them.

    Raises KLoraError as :func:`open_lora` does.
    """
    file = open_lora(path, for_model)
    return file if for_model else settle([file])[0]


def read_all(paths: Sequence[str | Path]) -> list[LoraFile]:
    """N files with one spelling. Raises KLoraError as :func:`open_lora` and :func:`settle` do."""
    return settle([open_lora(path) for path in paths])


def from_tensors(
    name: str,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    for_model: bool = False,
) -> LoraFile:
    """What :func:`read` gives, of tensors in memory. Raises KLoraError as :func:`lora_of` does."""
    file = lora_of(name, tensors, metadata, for_model)
    return file if for_model else settle([file])[0]


def settle(loras: Sequence[LoraFile]) -> list[LoraFile]:
    """The files with their slots: what one leaves open about layout and dots, the others settle.

    Raises KLoraError for a layer that is there twice, and for one that has two sizes.
    """
    return Settling(loras).together(range(len(loras)))


class Settling:
    """Files that meet some at a time, a folder's two by two: each is placed once for each layout that others
    give it, and not once a meeting."""

    def __init__(self, loras: Sequence[LoraFile]) -> None:
        self._loras = loras
        self._layouts = [names.layout_of(file.shapes) for file in loras]
        self._places: dict[tuple[int, Layout], _Places] = {}
        self._settled: dict[tuple[int, Layout, frozenset[tuple[str, str]]], LoraFile] = {}

    def together(self, chosen: Sequence[int]) -> list[LoraFile]:
        """Those of these numbers, as :func:`settle` gives them."""
        own = [self._layouts[i] for i in chosen]
        layouts = [reduce(Layout.or_else, _others(own, at), layout) for at, layout in enumerate(own)]
        places = [self._place(i, layout) for i, layout in zip(chosen, layouts, strict=True)]
        settled = [
            self._settle(i, layout, [theirs.sure for theirs in reversed(_others(places, at))])
            for at, (i, layout) in enumerate(zip(chosen, layouts, strict=True))
        ]
        for one, other in combinations(settled, 2):
            _check_sizes(one, other)
        return settled

    def _place(self, i: int, layout: Layout) -> _Places:
        if (i, layout) not in self._places:
            self._places[i, layout] = _places(self._loras[i], layout)
        return self._places[i, layout]

    def _settle(self, i: int, layout: Layout, others: Sequence[Mapping[str, str]]) -> LoraFile:
        """The file, what it leaves open spelled as the last of ``others`` does (flattened -> dotted)."""
        file, places = self._loras[i], self._place(i, layout)
        spelling = {flat: theirs[flat] for theirs in others for flat in places.open & theirs.keys()}
        key = i, layout, frozenset(spelling.items())
        if key not in self._settled:
            with naming(file.name):
                self._settled[key] = _with_slots(file, places.placed, spelling)
        return self._settled[key]


class _Places(NamedTuple):
    """Where a file's modules belong; by their flattened names the weights whose dots the file itself has, and
    those whose dots were restored."""

    placed: dict[str, Placed]
    sure: dict[str, str]
    open: frozenset[str]


def _places(file: LoraFile, layout: Layout) -> _Places:
    placed = {path: names.place(path, change.shape, layout) for path, change in file.modules.items()}
    flat = {path: names.flat(found.slot.weight) for path, found in placed.items()}
    sure = {flat[path]: found.slot.weight for path, found in placed.items() if path not in file.guessed}
    return _Places(placed, sure, frozenset(flat[path] for path in file.guessed if path in flat))


def _others(things: list, i: int) -> list:
    return [*things[:i], *things[i + 1 :]]


def _with_slots(file: LoraFile, placed: Mapping[str, Placed], spelling: Mapping[str, str]) -> LoraFile:
    """Restored dots give way to the ``spelling`` (flattened -> dotted) of others."""
    slots: dict[Slot, Delta] = {}
    by_path: dict[str, Slot] = {}
    heights: dict[str, int] = {}
    for path, change in file.modules.items():
        slot = placed[path].slot
        if path in file.guessed:
            slot = Slot(spelling.get(names.flat(slot.weight), slot.weight), slot.rows)
        if slot in slots:
            raise twice(slot.name)
        slots[slot] = swapped(change) if placed[path].swap_halves else change
        by_path[path] = slot
        if (height := placed[path].height) is not None:
            # The least: of grouped queries alone the rest can only be guessed.
            heights[slot.weight] = min(height, heights.get(slot.weight, height))
    return replace(file, slots=slots, placed=by_path, heights=heights)


def swapped(change: Delta) -> Delta:
    """dW with the two halves of its rows in each other's place."""
    return change.reordered(swap_order(change.shape[0]))


def swap_order(out: int) -> Tensor:
    """The order of ``out`` rows that puts their halves in each other's place."""
    return torch.arange(out).roll(out // 2)


def _check_sizes(first: LoraFile, second: LoraFile) -> None:
    """Two files for one base model: a module has one shape, a weight one input size, and rows lie in it."""
    for path in first.modules.keys() & second.modules.keys():
        if first.modules[path].shape != second.modules[path].shape:
            raise _unequal(path, first, first.modules[path].shape, second, second.modules[path].shape)
    theirs = defaultdict(list)
    for slot, delta in second.slots.items():
        theirs[slot.weight].append((slot, delta))
    for slot, delta in first.slots.items():
        for other, change in theirs[slot.weight]:
            if not _fit(slot, delta, other, change):
                raise _unequal(slot.weight, first, delta.shape, second, change.shape)


def _fit(slot: Slot, delta: Delta, other: Slot, change: Delta) -> bool:
    out, their_out = (sum(s.rows) if s.rows else d.shape[0] for s, d in ((slot, delta), (other, change)))
    if slot.rows is None and other.rows is None:
        return delta.shape == change.shape
    inside = (slot.rows is not None or their_out <= out) and (other.rows is not None or out <= their_out)
    return inside and delta.shape[1] == change.shape[1]


def _unequal(
    layer: str, first: LoraFile, ours: tuple[int, int], second: LoraFile, theirs: tuple[int, int]
) -> KLoraError:
    sizes = [f"{out} x {n} in {file.name}" for file, (out, n) in ((first, ours), (second, theirs))]
    one, other = first.base_model, second.base_model
    named = f" ({one} LoRA, {other} LoRA)" if one and other and not one.fits(other) else ""
    return KLoraError(
        f"layer {layer} is {' and '.join(sizes)}: they were trained on different base models{named}.",
        "Use LoRAs of the same base model",
    )
