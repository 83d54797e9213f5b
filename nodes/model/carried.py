"""Whether a model that comes in has a LoRA applied already, as ordinary patches.

Any node may have patched it, by any value: what is not understood here holds no LoRA, and is no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...klora_core.deltas import Delta
from ..host import PREFIX, SUFFIX
from ..loras import HostLora

_LOOK_AT = 4
_ADDED = "diff"


def carries(model: Any, lora: HostLora) -> bool:
    """Whether the ordinary patches of ``model``, a ModelPatcher, hold ``lora``, judged by its first slots."""
    first = list(lora.slots.items())[:_LOOK_AT]
    return bool(first) and all(
        any(holds(patch, delta) for patch in model.patches.get(f"{PREFIX}{slot.weight}{SUFFIX}", ()))
        for slot, delta in first
    )


def holds(patch: Any, delta: Delta) -> bool:
    """Whether one of the host's patches, (strength, value, ...), adds ``delta``. Never raises."""
    try:
        strength, value = patch[0], patch[1]
        if not strength:
            return False
        if isinstance(value, list):
            # A model that was merged in: its weight, then its own patches.
            return any(holds(inner, delta) for inner in value[1:])
        tensors = list(_tensors(value))
        return all(any(_alike(tensor, own) for tensor in tensors) for own in delta.tensors)
    except Exception:  # Strengths that are tensors, tensors that can't be compared, and what is to come.
        return False


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those that a patch adds: of an adapter, of ``(kind, tensors)`` or of ``(tensor,)``."""
    weights = getattr(value, "weights", None)
    if weights is None:
        kind, weights = (_ADDED, value) if len(value) == 1 else value
        if kind != _ADDED:
            return
    yield from (weight for weight in weights if isinstance(weight, Tensor))


def _alike(tensor: Tensor, own: Tensor) -> bool:
    # Rows of a fused weight are cut out of what the patch holds whole.
    if tensor.numel() != own.numel() or tensor.dtype != own.dtype:
        return False
    return torch.equal(tensor.detach().flatten().to(own.device), own.detach().flatten())
