"""What a person should know before the run: said first in the report, and on the node."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ...klora_core.deltas import Delta
from ..host import of_model
from ..loras import HostLora

_LOG = logging.getLogger("klora")
_LOOK_AT = 4
NOT_SAVED = (
    "The fusion is kept by the workflow, not by the model: CheckpointSave, ModelSave and ModelMerge don't "
    "hold it. Share the workflow and the LoRA files to share it."
)


def warnings_for(
    model: Any, loras: Sequence[HostLora], names: Sequence[str], labels: Sequence[str]
) -> tuple[str, ...]:
    """Warnings about LoRAs for ``model``, a ModelPatcher."""
    lines = [*_bases(of_model(model), loras, labels)]
    for (one, first), (other, second) in combinations(zip(loras, labels, strict=True), 2):
        if _same(one, other):
            lines.append(
                f"{first} and {second} are the same LoRA: whichever works, the image is that of one LoRA."
            )
    for lora, name in zip(loras, names, strict=True):
        if _carried(model, lora):
            lines.append(
                f"the model that comes in has {name} applied already, so it acts twice: connect the model "
                "from before that loader."
            )
    return tuple(lines)


def _bases(model: str, loras: Sequence[HostLora], labels: Sequence[str]) -> Iterator[str]:
    """One line where a LoRA was made for another base model than the one that is loaded, by name."""
    others = [
        f"{label} was made for {lora.base_model}"
        for label, lora in zip(labels, loras, strict=True)
        if lora.base_model is not None and not lora.base_model.fits(model)
    ]
    if others:
        yield f"{', '.join(others)}, the model is {model}: load LoRAs and a checkpoint of one base model."


def warn_on_save(model: Any) -> None:
    """Make ``model``, a ModelPatcher, say in the log that a file saved of it lacks the fusion."""
    inner = model.get_model_object("state_dict_for_saving")

    def saving(*args: Any, **kwargs: Any) -> Any:
        _LOG.warning("K-LoRA: this file will not hold the fusion. %s", NOT_SAVED)
        return inner(*args, **kwargs)

    model.add_object_patch("state_dict_for_saving", saving)


def _same(one: HostLora, other: HostLora) -> bool:
    if one.slots.keys() != other.slots.keys():
        return False
    return all(_equal(delta, other.slots[slot]) for slot, delta in one.slots.items())


def _equal(one: Delta, other: Delta) -> bool:
    if type(one) is not type(other) or one.scale != other.scale:
        return False
    pairs = list(zip(one.tensors, other.tensors, strict=False))
    return len(one.tensors) == len(other.tensors) and all(_same_values(a, b) for a, b in pairs)


def _same_values(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def _carried(model: Any, lora: HostLora) -> bool:
    """Whether the model's ordinary patches hold this LoRA, judged by its first slots."""
    slots = list(lora.slots)[:_LOOK_AT]
    return bool(slots) and all(
        any(_holds(tensors, lora.slots[slot]) for tensors in _patches(model, slot.weight)) for slot in slots
    )


def _holds(tensors: Sequence[Tensor], delta: Delta) -> bool:
    return all(any(_alike(tensor, own) for tensor in tensors) for own in delta.tensors)


def _alike(tensor: Tensor, own: Tensor) -> bool:
    # Rows of a fused weight are cut out of what the patch holds whole.
    if tensor.numel() != own.numel() or tensor.dtype != own.dtype:
        return False
    return torch.equal(tensor.detach().flatten(), own.detach().flatten())


def _patches(model: Any, layer: str) -> Iterator[list[Tensor]]:
    """The tensors of each patch on a layer's weight that has a strength."""
    for patch in model.patches.get(f"diffusion_model.{layer}.weight", ()):
        strength, change = patch[0], patch[1]
        weights = getattr(change, "weights", None) or (change[1] if isinstance(change, tuple) else ())
        if strength and weights:
            yield [weight for weight in weights if isinstance(weight, Tensor)]
