"""The report's sentences for one LoRA: what it holds beside its slots, and what became of it."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from ...klora_core.files import What
from ...klora_core.plan import Note
from ...klora_core.report import abbreviated, left_out
from .host_lora import HostLora


def notes(
    role: str,
    lora: HostLora,
    strength: float,
    *,
    keep: bool,
    clip: bool,
    clip_strength: float | None = None,
    blocks: str = "",
) -> tuple[Note, ...]:
    """Sentences about all that a LoRA does outside its slots, and all of it that is not applied.

    ``keep`` says whether layers that do not compete are applied, ``clip`` whether a CLIP is connected;
    ``clip_strength`` is the LoRA's there, ``strength`` where it is None; ``blocks`` its blocks' strengths.
    """
    at = f"at strength {strength:g}" + (" times their block's" if blocks else "")
    fate = f"applied as usual {at}" if keep else "dropped (other_layers is drop)"
    on_clip = strength if clip_strength is None else clip_strength
    lines = [f"{role}: {note}." for note in lora.notes]
    matrices = [key for key, patch in lora.vectors.items() if not _is_vector(patch)]
    if len(lora.vectors) > len(matrices):
        vectors = [key for key in lora.vectors if key not in matrices]
        lines.append(f"{role}: {_count(vectors, What.VECTOR.value)}, {fate}.")
    if matrices:
        lines.append(
            f"{role}: {_count(matrices, 'patch')} of layers that can't be switched over time (embeddings, "
            f"transposed convolutions), {fate}: {abbreviated([_shown(key) for key in matrices])}"
        )
    if lora.before:
        fate = f"applied as an ordinary patch {at}" if keep else fate
        lines.append(
            f"{role}: {_count(lora.before, 'patch')} of layers that run before sampling and so can't be "
            f"switched over time, {fate}: {abbreviated([_shown(key) for key in lora.before])}"
        )
    if lora.clip and clip:
        lines.append(f"{role}: {_count(lora.clip, 'text-encoder layer')}, applied to clip at {on_clip:g}.")
    return (*(Note(line) for line in lines), *left_out(role, lora.left, text_names=False))


def _is_vector(patch: Any) -> bool:
    """Whether an ordinary patch is the difference of a bias or a norm; one that is none may be an adapter."""
    return isinstance(patch, tuple) and patch[1][0].ndim < 2


def _shown(key: object) -> str:
    return str(key[0] if isinstance(key, tuple) else key).removeprefix("diffusion_model.")


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 'es' if noun.endswith('ch') else 's'}"
