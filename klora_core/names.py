"""Canonical names: every spelling of a module in LoRA files becomes ComfyUI's name of the weight."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import names_maps as maps
from .deltas import Slot
from .names_vocabulary import COMPOUNDS

_PREFIXES = (
    "model.diffusion_model.", "diffusion_model.", "base_model.model.", "transformer.", "unet.",
    "lora_unet__", "lora_unet_", "lora_prior_unet_", "lora_transformer_", "lycoris_",
)  # fmt: skip
_TEXT_ENCODER = re.compile(
    r"(lora_te\d*_|lora_prior_te_|lora_text_encoder|lycoris_te|lycoris_text_model|te\d*\.|te\d*_"
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
_ATTENTION_IN_FIRST_UP = re.compile(r"up_blocks\.0\.attentions|output_blocks\.[0-2]\.1\.transformer_blocks")
# SD 1.5 attends in its first down block, SDXL does not; an up block with attention but the first, neither.
_ATTENTION_ELSEWHERE = re.compile(
    r"(down_blocks\.0|up_blocks\.\d)\.attentions|(input_blocks\.1|output_blocks\.\d+)\.1\.transformer_blocks"
)
_FLUX_WIDTH, _FLUX_DOUBLE_BLOCKS = 3072, 19


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
class Base:
    """What a file's names tell about its base model; None where they leave it open."""

    flux: bool | None = None
    attention_in_first_up_block: bool | None = None

    def or_else(self, other: Base) -> Base:
        """This knowledge, and the other's where this leaves something open."""
        return Base(
            other.flux if self.flux is None else self.flux,
            other.attention_in_first_up_block
            if self.attention_in_first_up_block is None
            else self.attention_in_first_up_block,
        )


def base(shapes: Mapping[str, tuple[int, int]]) -> Base:
    """What the paths of a file (with the shape [out, n] of each) tell about its base model."""
    return Base(_is_flux(shapes), _has_early_attention(shapes))


def _is_flux(shapes: Mapping[str, tuple[int, int]]) -> bool | None:
    # Qwen-Image, SD3 and others share FLUX's transformer_blocks.N.attn.to_q; the single blocks are
    # FLUX's own, AuraFlow's aside.
    if any(path.startswith(("double_blocks.", "single_blocks.")) for path in shapes):
        return True
    if any(path.startswith("joint_transformer_blocks.") for path in shapes):
        return False
    if any(maps.is_flux_single(path) for path in shapes):
        return True
    blocks = [(found, path) for path in shapes if (found := maps.FLUX_DOUBLE.fullmatch(path))]
    known = [maps.flux(path) is not None for _, path in blocks]
    if not all(known) or any(int(found[1]) >= _FLUX_DOUBLE_BLOCKS for found, _ in blocks):
        return False
    if not blocks:
        return False
    widths = {
        shapes[path][1]
        for found, path in blocks
        if found[2].startswith(("norm1_context.", "ff_context.net.0"))
    }
    return (widths == {_FLUX_WIDTH}) if widths else None


def _has_early_attention(paths: Iterable[str]) -> bool | None:
    paths = tuple(paths)
    if any(_ATTENTION_IN_FIRST_UP.match(path) for path in paths):
        return True
    return False if any(_ATTENTION_ELSEWHERE.match(path) for path in paths) else None


@dataclass(frozen=True)
class Place:
    """Where a module's change belongs; ``swap_halves`` where the two halves of its rows change places."""

    slot: Slot
    swap_halves: bool = False


def place(path: str, shape: tuple[int, int], base: Base) -> Place:
    """The slot of a dotted path whose change has ``shape`` [out, n]."""
    if base.flux and (target := maps.flux(path)):
        return Place(_sliced(target, shape), swap_halves=path == maps.FLUX_SWAPPED)
    if target := maps.z_image(path):
        return Place(_sliced(target, shape))
    if path.startswith("single_blocks.") and path.endswith(".linear1_qkv"):
        return Place(Slot(path.removesuffix("_qkv"), (0, shape[0])))
    sgm = maps.unet(path, bool(base.attention_in_first_up_block))
    return Place(Slot(sgm or maps.hunyuan_video(path)))


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
