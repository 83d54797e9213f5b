"""A LoRA file fitted to a model: its slots that the model has; what does not fit there, left by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Union

import torch
from torch import Tensor, nn

from .. import names
from ..deltas import Delta, LayerWeight
from ..errors import KLoraError, naming, printable
from ..files import (
    MISSING_REASON,
    Change,
    Left,
    LoraFile,
    What,
    bound,
    few_misfits,
    hindered,
    strange,
    swap_order,
    swapped,
    told_once,
    twice,
    unlike,
)
from ..names import BaseModel, Placed, Slot, base_model_of
from .places import Layers, inner

_EXAMPLES = 2
_CHOOSE = "Choose a LoRA made for this model"


_Any = Union[Delta, Change]


def fit(file: LoraFile, layers: Layers, model: nn.Module | None = None) -> LoraFile:
    """The file with the slots that the model has; the rest is in ``left``.

    What names and widths leave open about base model and dots, the model settles. ``model``, that of
    ``layers``, gives its weights to changes that wait for them. Raises KLoraError, with the file's name and
    the layer, where many sizes differ, where a layer is there twice, and where none fits.
    """
    slots: dict[Slot, Delta] = {}
    left: dict[str, str] = {}
    misfits: dict[str, str] = {}
    changes: dict[str, _Any] = {**file.modules, **file.waiting}
    seen: set[Slot] = set()
    doubled: str | None = None
    for path, change in changes.items():
        place = _place(path, path in file.guessed, change, layers)
        slot = place.slot
        if slot in seen:
            doubled = doubled or slot.name
            continue
        seen.add(slot)
        fate = _misfit(layers, slot, change)
        if fate is not None:
            (left if fate == MISSING_REASON else misfits)[path] = fate
            continue
        order = swap_order(change.shape[0]) if place.swap_halves else None
        if isinstance(change, Change):
            if (reason := hindered(change, order)) is not None:
                left[path] = reason
                continue
            slots[slot] = _bound(file.name, change, slot, order, layers, model)
        else:
            slots[slot] = swapped(change) if place.swap_halves else change
    count = len(misfits) + len(slots)
    if not few_misfits(len(misfits), count):
        path, reason = next(iter(misfits.items()))
        raise KLoraError(
            f"{file.name}: made for another base model: layer {printable(path)} "
            f"{reason.removeprefix('it ')} ({len(misfits)} of {count} layers differ).",
            _CHOOSE,
        )
    # After that: names of another base model can fall together in this one.
    if doubled is not None:
        with naming(file.name):
            raise twice(doubled)
    if not slots:
        if names.wrapper_of(file.shapes) is not None:
            with naming(file.name):
                raise strange(list(changes))
        raise KLoraError(
            f"{file.name}: made for another base model{_named(file.base_model, layers)}: the model has none "
            f"of its {len(changes)} layers, such as {_examples(changes)}; it has {_examples(layers.sizes)}.",
            _CHOOSE,
        )
    gone = {**left, **misfits}
    more = [
        Left(
            printable(path), reason, What.MISSING if reason == MISSING_REASON else What.LAYER, file.keys[path]
        )
        for path, reason in gone.items()
    ]
    there = {path: change for path, change in file.modules.items() if path not in gone}
    waiting = {path: change for path, change in file.waiting.items() if path not in gone}
    fitted = replace(file, slots=slots, modules=there, waiting=waiting)
    return replace(fitted, left=told_once((*file.left, *more), fitted.applied))


def _bound(
    file: str, change: Change, slot: Slot, order: Tensor | None, layers: Layers, model: nn.Module | None
) -> Delta:
    if model is None:
        raise KLoraError(
            f"{file}: layer {slot.name} is {change.label}, which needs the model's weights.",
            "Give the model, or use a plain LoRA",
        )
    device = next(model.parameters()).device
    device = device if device.type in ("cuda", "mps") else torch.device("cpu")
    base = LayerWeight.of(_Weight(inner(model), layers, slot, change.shape[0]), device)
    with naming(file):
        return bound(change, base, device, order)


class _Weight:
    """The rows of a slot, read from the model's own layers."""

    def __init__(self, model: nn.Module, layers: Layers, slot: Slot, out: int) -> None:
        self._model, self._slot, self._spots = model, slot, layers.spots(slot, out)

    def __call__(self, device: torch.device) -> Tensor:
        parts = []
        for spot in self._spots:
            weight = stored(self._model.get_submodule(spot.layer), self._slot).to(device, torch.float32)
            parts.append(weight if spot.rows is None else weight.narrow(0, *spot.rows))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def stored(module: Any, slot: Slot) -> Tensor:
    """A layer's own weight. Raises KLoraError where it can't be read."""
    weight = module.weight.detach()
    if type(weight) is not Tensor and hasattr(weight, "dequantize"):
        weight = weight.dequantize()
    rows = getattr(module, "out_features", getattr(module, "out_channels", None))
    if not weight.is_floating_point() or weight.ndim < 2 or weight.shape[0] != rows:
        raise KLoraError(
            f"layer {slot.name}: the model's weight is stored in a way that can't be read here "
            f"({weight.dtype}, {tuple(weight.shape)}).",
            "Use a version of the model in bf16, fp16 or fp32",
        )
    return weight


def _place(path: str, guessed: bool, change: _Any, layers: Layers) -> Placed:
    """The slot of a path; restored dots give way to the model's own spelling."""
    if guessed:
        path = layers.spelling.get(names.flat(path), path)
    place = names.place(path, change.shape, layers.layout)
    if not change.shape[1]:
        # An OFT does not know its inputs, which some names need to be placed.
        place = names.place(path, (change.shape[0], layers.inputs(place.slot.weight) or 0), layers.layout)
    weight = place.slot.weight
    if guessed:
        weight = layers.spelling.get(names.flat(weight), weight)
    return replace(place, slot=Slot(weight, place.slot.rows))


def _misfit(layers: Layers, slot: Slot, change: _Any) -> str | None:
    """Why the model has no such slot, None where it has."""
    out, n = change.shape
    inputs = layers.inputs(slot.weight)
    if inputs is None:
        return MISSING_REASON
    rows = sum(piece.length for piece in layers.pieces[slot.weight])
    # A whole weight is all of its rows.
    if n in (0, inputs) and (slot.rows is not None or out == rows) and layers.spots(slot, out):
        return None
    if inputs == n and slot.rows is not None:
        return MISSING_REASON
    return unlike((out, n), (rows, inputs))


def _named(base: BaseModel | None, layers: Layers) -> str:
    """`` (FLUX LoRA, SD1.5 model)`` where both are known and are two."""
    shapes = {
        weight: (sum(piece.length for piece in pieces), pieces[0].inputs)
        for weight, pieces in layers.pieces.items()
    }
    model = base_model_of(shapes)
    return f" ({base} LoRA, {model} model)" if base and model and not base.fits(model) else ""


def _examples(layers: Iterable[str]) -> str:
    """Two names from the middle of the network, which say more about it than its embedders."""
    every = list(layers)
    return " and ".join(map(printable, every[len(every) // 2 :][:_EXAMPLES]))
