"""A plan onto MODEL and CLIP: the side path for weights, ordinary patches for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from ..klora_core.apply.composition import Spot, compose
from ..klora_core.deltas import Slot
from ..klora_core.pairing import Rows
from ..klora_core.plan import Plan
from .live import announce
from .lora_slots import HostLora
from .side_path import SidePath
from .warnings import warn_on_save

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def to_model(model: Any, plan: Plan, rows: Rows, loras: Sequence[HostLora], node: str | None = None) -> Any:
    """A clone of ``model`` that follows ``plan``; with all strengths 0, a clone and nothing else.

    ``node`` is the execution id of the node that made the plan, for the page.
    """
    patched = model.clone()
    if not any(lora.strength for lora in plan.loras):
        return patched
    for lora, info in zip(loras, plan.loras, strict=True):
        if plan.keeps(info):
            patched.add_patches({**lora.vectors, **lora.before}, info.strength)
    dtype = model.model.get_dtype_inference()
    side = SidePath(
        compose(plan, rows, _where), dtype if dtype in _FLOATS else torch.float32, partial(announce, node)
    )
    side.apply(patched)
    warn_on_save(patched)
    return patched


def to_clip(clip: Any | None, loras: Sequence[HostLora], strengths: Sequence[float]) -> Any | None:
    """A clone of ``clip`` with the LoRAs' text-encoder parts as ordinary patches."""
    if clip is None:
        return None
    patched = clip.clone()
    for lora, strength in zip(loras, strengths, strict=True):
        patched.add_patches(lora.clip, strength)
    return patched


def _where(slot: Slot, out: int) -> tuple[Spot, ...]:
    return (Spot(f"diffusion_model.{slot.weight}", slot.rows),)
