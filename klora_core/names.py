"""Canonical names: every spelling of a module in LoRA files becomes ComfyUI's name of the weight."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import names_maps as maps
from .deltas import Slot
from .names_base import FLUX, UNET, Base
from .names_transformers import TABLES, Table
from .names_vocabulary import COMPOUNDS

_PREFIXES = (
    "model.diffusion_model.", "diffusion_model.", "base_model.model.", "transformer.", "unet.",
    "lora_unet__", "lora_unet_", "lora_prior_unet_", "lora_transformer_", "lycoris_",
)  # fmt: skip
_TEXT_ENCODER = re.compile(
    r"(lora_te\d*_|lora_prior_te_|lora_text_encoder|lycoris_te\d*_|lycoris_text_model|te\d*\.|te\d*_"
    r"|text_encoder|text_model\.|conditioner\.|cond_stage_model\.|clip_[lgh]\.|t5xxl\.)"
)
_LONGEST = max(name.count("_") + 1 for name in COMPOUNDS)
_XLABS = {
    "qkv_lora1": "img_attn.qkv",
    "qkv_lora2": "txt_attn.qkv",
    "proj_lora1": "img_attn.proj",
    "proj_lora2": "txt_attn.proj",
    "qkv": "linear1_qkv",
    "proj": "linear2",
}


def is_text_encoder(raw: str) -> bool:
    """Whether a module name of a LoRA file belongs to a text encoder."""
    return _TEXT_ENCODER.match(_strip(raw)) is not None or _TEXT_ENCODER.match(raw) is not None


def module(raw: str) -> tuple[str, bool]:
    """(dotted path, whether its dots were restored) of a module name as a LoRA file spells it.

    Prefixes of trainers and diffusers' old ``processor`` are gone; the path keeps its own vocabulary.
    """
    name = _strip(raw)
    if "." not in name and raw.removesuffix(name).endswith("_"):
        return dotted(name), True
    parts = name.split(".")
    if parts[-2:-1] == ["processor"]:
        parts[-2:] = [_XLABS.get(parts[-1], parts[-1])]
    return ".".join(parts), False


def dotted(flat: str) -> str:
    """A name flattened with underscores, its dots restored: the longest known components win."""
    words = [word for word in flat.split("_") if word]
    parts: list[str] = []
    at = 0
    while at < len(words):
        sizes = range(min(_LONGEST, len(words) - at), 1, -1)
        size = next((n for n in sizes if "_".join(words[at : at + n]) in COMPOUNDS), 1)
        parts.append("_".join(words[at : at + size]))
        at += size
    return ".".join(parts)


def flat(path: str) -> str:
    """The spelling that all dotted and flattened forms of one path have in common."""
    return path.replace(".", "_")


@dataclass(frozen=True)
class Place:
    """Where a module's change belongs; ``swap_halves`` where the two halves of its rows change places."""

    slot: Slot
    swap_halves: bool = False


def place(path: str, shape: tuple[int, int], base: Base) -> Place:
    """The slot of a dotted path whose change has ``shape`` [out, n]."""
    if base.network == FLUX and (target := maps.flux(path)):
        return Place(_sliced(target, shape), swap_halves=path == maps.FLUX_SWAPPED)
    if (table := TABLES.get(base.network or "")) and (target := table.find(path)):
        return Place(_sliced(target, shape), _is_swapped(table, path, shape))
    if target := maps.z_image(path):
        return Place(_sliced(target, shape))
    if path.startswith("single_blocks.") and path.endswith(".linear1_qkv"):
        return Place(Slot(path.removesuffix("_qkv"), (0, shape[0])))
    sgm = maps.unet(path, bool(base.attention_in_first_up_block)) if base.network in (None, UNET) else None
    return Place(Slot(sgm or maps.hunyuan_video(path)))


def _is_swapped(table: Table, path: str, shape: tuple[int, int]) -> bool:
    # The last block of SD 3 only shifts and scales its context, as the final layer does: 2 widths, not 6.
    last = path.endswith(".norm1_context.linear") and shape[0] == 2 * shape[1]
    return path == table.swapped or last


def _sliced(target: maps.Target, shape: tuple[int, int]) -> Slot:
    weight, part = target
    if part is None:
        return Slot(weight)
    # q, k and v are square; the feed-forward rows behind them start at three input widths.
    return Slot(weight, (part * (shape[0] if part < 3 else shape[1]), shape[0]))


def _strip(raw: str) -> str:
    name = raw
    while prefix := next((p for p in _PREFIXES if name.startswith(p) and len(name) > len(p)), None):
        name = name.removeprefix(prefix)
    return name
