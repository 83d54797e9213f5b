"""What trainers call base models, in a file's header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ... import written

# What trainers write: Stability's modelspec, kohya and those after it (ai-toolkit, musubi-tuner); then what
# PEFT and OneTrainer keep of a training's settings, as JSON.
_WRITTEN = ("modelspec.architecture", "ss_base_model_version", "modelspec.base_model", "base_model")
_SETTINGS = (
    ("lora_adapter_metadata", ("base_model_name_or_path", "transformer.base_model_name_or_path")),
    ("lora_adapter_metadata", ("unet.base_model_name_or_path",)),
    ("ot_config", ("model_type",)),
)
# Characters of a name that are looked at.
_LONGEST = 300


@dataclass(frozen=True)
class Said:
    """A base model by its name: the layouts that a LoRA of it may have, and what it is called, in small
    letters with ``-`` between words."""

    name: str
    layouts: tuple[str, ...]
    pattern: str


def _said(name: str, layouts: str, pattern: str) -> Said:
    return Said(name, tuple(layouts.split()), pattern)


# Of two that a text fits, the earlier one is meant.
# fmt: off
TABLE = (
    _said("SSD-1B", "unet", "ssd-?1b"),
    _said("Segmind Vega", "unet", "segmind-?vega"),
    _said("KOALA 700M", "unet", "koala-?(lightning-)?700m"),
    _said("KOALA 1B", "unet", "koala-?(lightning-)?1b"),
    _said("SDXL refiner", "unet", "xl-(v1-)?(base-)?refiner"),
    _said("SDXL", "unet", "sdxl|stable-diffusion-xl|sd-xl|pony|illustrious|noobai|playground-v2"),
    _said("Stable Video Diffusion", "unet", "stable-?video-?diffusion|(^|[-/])svd"),
    _said("SD1.5", "unet", "(^|[-/])sd-?v?1|stable-diffusion-v?-?1"),
    _said("SD2", "unet", "(^|[-/])sd-?v?2|stable-diffusion-v?-?2"),
    _said("Stable Cascade", "unet", "cascade|wuerstchen"),
    _said("SD3", "sd3 other", "(^|[-/])sd-?v?3|stable-diffusion-v?-?3"),
    _said("Chroma", "flux", "chroma"),
    _said("LongCat-Image", "flux other", "longcat-?image"),
    _said("FLUX.2", "flux", "flux-?2"),
    _said("FLUX", "flux other", "flux|kontext"),
    _said("HunyuanVideo 1.5", "flux other", "hunyuan-?video-?1-?5|hv-?15"),
    _said("HunyuanImage refiner", "flux other", "hunyuan-?image.*refiner"),
    _said("HunyuanImage", "flux other", "hunyuan-?image"),
    _said("HunyuanVideo", "flux", "hunyuan-?video|framepack"),
    _said("HunyuanDiT", "wan other", "hunyuan-?dit|hydit"),
    _said("Hunyuan3D 2", "flux wan other", "hunyuan-?3d"),
    _said("AuraFlow", "auraflow", "aura-?flow"),
    _said("PixArt", "pixart other", "pixart"),
    _said("Krea 2", "krea", "krea-?2"),
    _said("Z-Image", "lumina", "z-?image"),
    _said("Lumina 2", "lumina other", "lumina|newbie"),
    _said("MageFlow", "other", "mage-?flow"),
    _said("Qwen-Image", "other", "qwen-?image|(^|[-/])qwen"),
    _said("HiDream O1", "other", "hidream-?o1"),
    _said("HiDream", "other", "hidream"),
    _said("Wan", "wan", "(^|[-/])wan"),
    _said("LTX-2", "ltx other", "ltx-?2|ltx-?av"),
    _said("LTX-Video", "ltx other", "ltx"),
    _said("Mochi", "mochi", "mochi"),
    _said("Anima", "cosmos2 other", "anima(?!te)"),
    _said("Cosmos Predict 2", "cosmos2 other", "cosmos-?(predict-?)?2"),
    _said("Cosmos", "cosmos cosmos2 other", "cosmos"),
    _said("CogVideoX", "cogvideox other", "cogvideo"),
    _said("OmniGen 2", "lumina other", "omnigen-?2"),
    _said("Kandinsky 5", "other", "kandinsky-?5"),
    _said("ERNIE-Image", "other", "ernie"),
    _said("Ideogram 4", "other lumina", "ideogram-?4"),
    _said("MiniMax H3", "other", "minimax-?h3"),
    _said("JoyImage", "flux other", "joy-?(ai-)?image"),
    _said("SeedVR2", "other", "seedvr-?2"),
    _said("ACE-Step", "pixart other", "ace-?step(?!-?1-?5)"),
)
# fmt: on


def said(metadata: Mapping[str, str]) -> Iterator[Said]:
    """The base models that a header's text names, the surest first."""
    values = [written.text_of(metadata, key) for key in _WRITTEN]
    for key, fields in _SETTINGS:
        settings = written.json_of(metadata, key)
        values += [written.text_of(settings, field) for field in fields]
    for value in filter(None, values):
        text = re.sub(r"[ _.:]+", "-", value[:_LONGEST].lower())
        yield from [row for row in TABLE if re.search(row.pattern, text)][:1]


def base_texts(metadata: Mapping[str, str]) -> dict[str, str]:
    """What a file's text says of its base model as such, by key; else the model's name by the settings."""
    found = {key: text for key in _WRITTEN if (text := written.text_of(metadata, key))}
    if not found and (row := next(said(metadata), None)) is not None:
        found = {_WRITTEN[-1]: row.name}
    return found
