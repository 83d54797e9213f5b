"""A LoRA file fitted to a model: its slots that the model has; what does not fit there, left by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Union

import torch
from torch import Tensor, nn

from .. import names
from ..account import Left, What
from ..adapters import Change
from ..base_names import is_of, of_lora
from ..base_weight import BaseWeight
from ..checks import few_misfits
from ..deltas import Delta, Slot
from ..errors import KLoraError, printable
from ..files import LoraFile, swap_order, swapped
from ..names import Place
from ..weight_bound import bound, hindered
from .places import Places, inner

MISSING = "the model does not have them"
_EXAMPLES = 2


_Found = Union[Delta, Change]


def fit(file: LoraFile, places: Places, model: nn.Module | None = None) -> LoraFile:
    """The file with the slots that the model has; the rest is in ``left``.

    What names and widths leave open about base model and dots, the model settles. ``model``, that of
    ``places``, gives its weights to changes that wait for them. Raises KLoraError, with the file's name and
    the layer, where many sizes differ, where a layer is there twice, and where none fits.
    """
    slots: dict[Slot, Delta] = {}
    left: dict[str, str] = {}
    misfits: dict[str, str] = {}
    found: dict[str, _Found] = {**file.modules, **file.waiting}
    for path, change in found.items():
        place = _place(path, path in file.guessed, change, places)
        slot = place.slot
        fate = _misfit(places, slot, change)
        if fate is not None:
            (left if fate == MISSING else misfits)[path] = fate
            continue
        if slot in slots:
            raise KLoraError(
                f"{file.name}: layer {slot.name} is there twice, in two spellings. "
                "Save it again from the trainer."
            )
        order = swap_order(change.shape[0]) if place.swap_halves else None
        if isinstance(change, Change):
            if (reason := hindered(change, order)) is not None:
                left[path] = reason
                continue
            slots[slot] = _bound(file.name, change, slot, order, places, model)
        else:
            slots[slot] = swapped(change) if place.swap_halves else change
    layers = len(misfits) + len(slots)
    if not few_misfits(len(misfits), layers):
        path, reason = next(iter(misfits.items()))
        raise KLoraError(
            f"{file.name}: layer {printable(path)} {reason.removeprefix('it ')} ({len(misfits)} of "
            f"{layers} layers differ). It was trained on another base model: use a LoRA of this one."
        )
    if not slots:
        raise KLoraError(
            f"{file.name}: the model has none of its {len(found)} layers, such as "
            f"{_examples(found)}; it has {_examples(places.sizes)}. It is for another base model"
            f"{_named(file.base, places)}: "
            "choose a LoRA of this one."
        )
    gone = {**left, **misfits}
    more = [Left(printable(path), reason, What.LAYER, file.keys[path]) for path, reason in gone.items()]
    there = {path: change for path, change in file.modules.items() if path not in gone}
    waiting = {path: change for path, change in file.waiting.items() if path not in gone}
    return replace(file, slots=slots, modules=there, waiting=waiting, left=(*file.left, *more))


def _bound(
    file: str, change: Change, slot: Slot, order: Tensor | None, places: Places, model: nn.Module | None
) -> Delta:
    if model is None:
        raise KLoraError(f"{file}: layer {slot.name} is {change.label}, which needs the model's weights.")
    device = next(model.parameters()).device
    device = device if device.type in ("cuda", "mps") else torch.device("cpu")
    base = BaseWeight.of(_Weight(inner(model), places, slot, change.shape[0]), device)
    try:
        return bound(change, base, device, order)
    except KLoraError as error:
        raise KLoraError(f"{file}: {error}") from error


class _Weight:
    """The rows of a slot, read from the model's own layers."""

    def __init__(self, model: nn.Module, places: Places, slot: Slot, out: int) -> None:
        self._model, self._slot, self._spots = model, slot, places.spots(slot, out)

    def __call__(self, device: torch.device) -> Tensor:
        parts = []
        for spot in self._spots:
            weight = _stored(self._model.get_submodule(spot.layer), self._slot).to(device, torch.float32)
            parts.append(weight if spot.rows is None else weight.narrow(0, *spot.rows))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _stored(module: Any, slot: Slot) -> Tensor:
    weight = module.weight.detach()
    if type(weight) is not Tensor and hasattr(weight, "dequantize"):
        weight = weight.dequantize()
    rows = getattr(module, "out_features", getattr(module, "out_channels", None))
    if not weight.is_floating_point() or weight.ndim < 2 or weight.shape[0] != rows:
        raise KLoraError(
            f"layer {slot.name}: the model's weight is stored in a way that can't be read here "
            f"({weight.dtype}, {tuple(weight.shape)}). Use a version of the model in bf16, fp16 or fp32."
        )
    return weight


def _place(path: str, guessed: bool, change: _Found, places: Places) -> Place:
    """The slot of a path; restored dots give way to the model's own spelling."""
    if guessed:
        path = places.spelling.get(names.flat(path), path)
    place = names.place(path, change.shape, places.base)
    if not change.shape[1]:
        # An OFT does not know its inputs, which some names need to be placed.
        place = names.place(path, (change.shape[0], places.inputs(place.slot.weight) or 0), places.base)
    weight = place.slot.weight
    if guessed:
        weight = places.spelling.get(names.flat(weight), weight)
    return replace(place, slot=Slot(weight, place.slot.rows))


def _misfit(places: Places, slot: Slot, change: _Found) -> str | None:
    """Why the model has no such slot, None where it has."""
    out, n = change.shape
    inputs = places.inputs(slot.weight)
    if inputs is None:
        return MISSING
    rows = sum(piece.length for piece in places.pieces[slot.weight])
    # A whole weight is all of its rows.
    if n in (0, inputs) and (slot.rows is not None or out == rows) and places.spots(slot, out):
        return None
    if inputs == n and slot.rows is not None:
        return MISSING
    return f"it is {f'{out} x {n}' if n else f'{out} high'} in the LoRA and {rows} x {inputs} in the model"


def _named(base: str | None, places: Places) -> str:
    """`` (FLUX LoRA, SD1.5 model)`` where both are known and are two."""
    model = of_lora({weight: (1, pieces[0].inputs) for weight, pieces in places.pieces.items()})
    return f" ({base} LoRA, {model} model)" if base and model and not is_of(base, model) else ""


def _examples(layers: Iterable[str]) -> str:
    """Two names from the middle of the network, which say more about it than its embedders."""
    found = list(layers)
    return " and ".join(map(printable, found[len(found) // 2 :][:_EXAMPLES]))
