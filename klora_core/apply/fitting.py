"""A LoRA file fitted to a model: its slots that the model has; layers that the model lacks, left by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .. import names
from ..account import Left, What
from ..base_names import of_lora
from ..deltas import Delta, Slot
from ..errors import KLoraError, printable
from ..files import LoraFile, swapped
from ..names import Place
from .places import Places

MISSING = "the model does not have them"
_EXAMPLES = 2


def fit(file: LoraFile, places: Places) -> LoraFile:
    """The file with the slots that the model has; the rest is in ``left``.

    What names and widths leave open about base model and dots, the model settles. Raises KLoraError, with
    the file's name and the layer, where sizes differ, where a layer is there twice, and where none fits.
    """
    slots: dict[Slot, Delta] = {}
    missing: list[str] = []
    for path, change in file.modules.items():
        place = _place(path, path in file.guessed, change, places)
        slot = place.slot
        if not _has(places, slot, change, file.name):
            missing.append(path)
            continue
        if slot in slots:
            raise KLoraError(
                f"{file.name}: layer {slot.name} is there twice, in two spellings. "
                "Save it again from the trainer."
            )
        slots[slot] = swapped(change) if place.swap_halves else change
    if not slots:
        raise KLoraError(
            f"{file.name}: the model has none of its {len(file.modules)} layers, such as "
            f"{_examples(file.modules)}; it has {_examples(places.sizes)}. It is for another base model"
            f"{_named(file.base, places)}: "
            "choose a LoRA of this one."
        )
    left = [Left(printable(path), MISSING, What.LAYER, file.keys[path]) for path in missing]
    there = {path: change for path, change in file.modules.items() if path not in set(missing)}
    return replace(file, slots=slots, modules=there, left=(*file.left, *left))


def _place(path: str, guessed: bool, change: Delta, places: Places) -> Place:
    """The slot of a path; restored dots give way to the model's own spelling."""
    if guessed:
        path = places.spelling.get(names.flat(path), path)
    place = names.place(path, change.shape, places.base)
    weight = place.slot.weight
    if guessed:
        weight = places.spelling.get(names.flat(weight), weight)
    return replace(place, slot=Slot(weight, place.slot.rows))


def _has(places: Places, slot: Slot, change: Delta, file: str) -> bool:
    """Whether the model has the slot. Raises KLoraError where its layer there has another size."""
    out, n = change.shape
    inputs = places.inputs(slot.weight)
    if inputs is None:
        return False
    if inputs != n or not places.spots(slot, out):
        if inputs == n and slot.rows is not None:
            return False
        rows = sum(piece.length for piece in places.pieces[slot.weight])
        raise KLoraError(
            f"{file}: layer {slot.name} is {out} x {n}, but {rows} x {inputs} in the model: it was trained "
            "on another base model. Use a LoRA of this one."
        )
    return True


def _named(base: str | None, places: Places) -> str:
    """`` (FLUX LoRA, SD1.5 model)`` where both are known and are two."""
    model = of_lora({weight: (1, pieces[0].inputs) for weight, pieces in places.pieces.items()})
    return f" ({base} LoRA, {model} model)" if base and model and base != model else ""


def _examples(layers: Iterable[str]) -> str:
    """Two names from the middle of the network, which say more about it than its embedders."""
    found = list(layers)
    return " and ".join(map(printable, found[len(found) // 2 :][:_EXAMPLES]))
