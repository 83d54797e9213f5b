"""A plan onto MODEL and CLIP: the side path for weights, ordinary patches for the rest."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import torch

from ...klora_core.apply import Spot, compose
from ...klora_core.deltas import Digests, Rows
from ...klora_core.loras import LoraInfo
from ...klora_core.names import Slot, strengths_of
from ...klora_core.plan import Plan
from ..host import PREFIX, announce
from ..loras import HostLora
from .gates import run_over
from .saving import warn_on_save
from .seen import Seen
from .side_path import Devices, Shared, SidePath

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def to_model(
    model: Any,
    plan: Plan,
    rows: Rows,
    loras: Sequence[HostLora],
    node: str | None = None,
    memory: Digests | None = None,
) -> Any:
    """A clone of ``model`` that follows ``plan``; with all strengths 0, a clone and nothing else.

    ``node`` is the execution id of the node that made the plan, for the page; ``memory`` has the contents of
    the LoRAs' deltas.
    """
    patched = model.clone()
    if not any(lora.strength for lora in plan.loras):
        return patched
    for lora, info in zip(loras, plan.loras, strict=True):
        if plan.keeps(info):
            _patch_by_block(patched, {**lora.vectors, **lora.before}, info)
    dtype = model.model.get_dtype_inference()
    devices = model.load_device, model.offload_device
    shared = _shared_by(plan, rows, dtype if dtype in _FLOATS else torch.float32, devices, memory)
    seen = Seen(node, plan, model.model, shared.composition.layers)
    side = SidePath(
        shared.composition.of(plan), shared, partial(announce, node), seen, partial(run_over, node)
    )
    side.apply(patched)
    warn_on_save(patched)
    return patched


# As long as a MODEL has them.
_shared: WeakValueDictionary[Hashable, Shared] = WeakValueDictionary()


def _shared_by(
    plan: Plan, rows: Rows, dtype: torch.dtype, devices: Devices, memory: Digests | None
) -> Shared:
    """A composition and its buffers, for every plan that differs in nothing that decides on them."""
    loras = tuple((lora.strength, lora.blocks, plan.keeps(lora)) for lora in plan.loras)
    # An entry holds its rows, so that no others can have their id.
    key = id(rows), loras, type(plan.method), plan.method.key_of(), dtype, devices
    shared = _shared.get(key)
    if shared is None:
        shared = _shared[key] = Shared(compose(plan, rows, _where, memory), rows, dtype, devices)
    return shared


def to_clip(clip: Any | None, loras: Sequence[HostLora], strengths: Sequence[float]) -> Any | None:
    """A clone of ``clip`` with the LoRAs' text-encoder parts as ordinary patches."""
    if clip is None:
        return None
    patched = clip.clone()
    for lora, strength in zip(loras, strengths, strict=True):
        _patch(patched, lora.clip, strength)
    return patched


def _patch_by_block(patched: Any, patches: dict[Any, Any], info: LoraInfo) -> None:
    strengths = strengths_of(info.blocks)
    found: dict[float, dict[Any, Any]] = {}
    for key, patch in patches.items():
        name = key if isinstance(key, str) else key[0]
        found.setdefault(strengths.of(name.removeprefix(PREFIX)), {})[key] = patch
    for strength, own in found.items():
        _patch(patched, own if strength else {}, info.strength * strength)


def _patch(patched: Any, patches: dict[Any, Any], strength: float) -> None:
    # The host takes a model for another one after a call, even of no patches, and loads it anew.
    if patches:
        patched.add_patches(patches, strength)


def _where(slot: Slot, out: int) -> tuple[Spot, ...]:
    return (Spot(f"diffusion_model.{slot.weight}", slot.rows),)
