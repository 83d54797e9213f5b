"""What a person should know before the run: said first in the report, and on the node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ...klora_core.deltas import Delta
from ..host import of_model
from ..loras import HostLora
from .carried import carries


def warnings_for(
    model: Any,
    loras: Sequence[HostLora],
    names: Sequence[str],
    labels: Sequence[str],
    adds: bool = False,
) -> tuple[str, ...]:
    """Warnings about LoRAs for ``model``, a ModelPatcher; ``adds``: several work in a layer at once."""
    lines = [*_bases(of_model(model), loras, labels)]
    for (one, first), (other, second) in combinations(zip(loras, labels, strict=True), 2):
        if not adds and _same(one, other):
            lines.append(
                f"{first} and {second} are the same LoRA: whichever works, the image is that of one LoRA."
            )
    for lora, name in zip(loras, names, strict=True):
        if carries(model, lora):
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
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other.to(one.device))
