"""A plan onto MODEL and CLIP: the side path for weights, ordinary patches for the rest."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import torch

from ..klora_core.apply import Target
from ..klora_core.deltas import Deltas, Slot
from ..klora_core.pairing import Pairing
from ..klora_core.plan import Plan
from ..klora_core.report import abbreviated
from ..klora_core.switches import Switches
from .lora_slots import HostLora
from .side_path import SidePath

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_ROLES = ("subject", "style")

Pair = tuple[HostLora, HostLora]
Strengths = tuple[float, float]


def to_model(
    model: Any, plan: Plan, pairing: Pairing, loras: Pair, strengths: Strengths, *, keep: bool, progress: str
) -> Any:
    """A clone of ``model`` that follows ``plan``; with both strengths 0, a clone and nothing else."""
    patched = model.clone()
    if strengths == (0, 0):
        return patched
    lanes = [_lane(p.slot, (p.subject, p.style), strengths) for p in pairing.shared]
    if keep:
        lanes += _constant_lanes(pairing.subject_only, strengths[0])
        lanes += _constant_lanes(pairing.style_only, strengths[1])
        for lora, strength in zip(loras, strengths, strict=True):
            patched.add_patches(lora.vectors, strength)
    dtype = model.model.get_dtype_inference()
    side = SidePath(
        Switches(plan),
        tuple(lanes),
        competing=len(pairing.shared),
        progress=progress,
        dtype=dtype if dtype in _FLOATS else torch.float32,
    )
    side.apply(patched)
    return patched


def to_clip(clip: Any | None, loras: Pair, strengths: Strengths) -> Any | None:
    """A clone of ``clip`` with both LoRAs' text-encoder parts as ordinary patches."""
    if clip is None:
        return None
    patched = clip.clone()
    for lora, strength in zip(loras, strengths, strict=True):
        patched.add_patches(lora.clip, strength)
    return patched


def notes(loras: Pair, strengths: Strengths, *, keep: bool, clip: bool) -> tuple[str, ...]:
    """Sentences for the report: what a LoRA holds beside its slots, and what becomes of it."""
    lines = []
    for role, lora, strength in zip(_ROLES, loras, strengths, strict=True):
        if lora.vectors:
            fate = f"applied as usual at strength {strength:g}" if keep else "dropped (other_layers is drop)"
            lines.append(f"{role}: {_count(lora.vectors, 'bias or norm tensor')}, {fate}.")
        if lora.clip:
            lines.append(
                f"{role}: {_count(lora.clip, 'text-encoder layer')}, applied to clip at {strength:g}."
            )
        if lora.text:
            why = "this CLIP does not have them" if clip else "connect clip to apply them"
            lines.append(f"{role}: {_count(lora.text, 'text-encoder layer')}, NOT applied: {why}.")
        if lora.unknown:
            what = _count(lora.unknown, "layer")
            names = abbreviated(lora.unknown)
            lines.append(f"{role}: {what} that this model does not have, NOT applied: {names}")
    return tuple(lines)


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _lane(slot: Slot, candidates: tuple, strengths: tuple[float, ...]) -> Target:
    scaled = tuple(delta.scaled(strength) for delta, strength in zip(candidates, strengths, strict=True))
    return Target(f"diffusion_model.{slot.weight}", slot.rows, scaled)


def _constant_lanes(deltas: Deltas, strength: float) -> list[Target]:
    return [_lane(slot, (delta,), (strength,)) for slot, delta in deltas.items()]
