"""The base model of a LoRA by the name that people call it: from its layers, and from its metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .layout import OTHER, UNET, Layout, Shapes, layout_of
from .table import flat

# What trainers write: Stability's modelspec, kohya and those after it (ai-toolkit, musubi-tuner); then what
# PEFT and OneTrainer keep of a training's settings, as JSON.
_WRITTEN = ("modelspec.architecture", "ss_base_model_version", "modelspec.base_model", "base_model")
_SETTINGS = (
    ("lora_adapter_metadata", ("base_model_name_or_path", "transformer.base_model_name_or_path")),
    ("lora_adapter_metadata", ("unet.base_model_name_or_path",)),
    ("ot_config", ("model_type",)),
)


@dataclass(frozen=True)
class BaseModel:
    """A base model by its name, or the few that nothing tells apart: ``names``, the likeliest first."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """``FLUX or Chroma``."""
        return " or ".join(self.names)

    def fits(self, other: BaseModel | str) -> bool:
        """Whether a LoRA of the one may be used in the other, which may be told by one name."""
        return not set(self.names).isdisjoint((other,) if isinstance(other, str) else other.names)


def words_of(base: BaseModel | None) -> str | None:
    """A base model in words, None where it is not known."""
    return None if base is None else str(base)


_FLUX_OR_CHROMA = ("FLUX", "Chroma")


@dataclass(frozen=True)
class _Name:
    """A base model, the layouts (of :func:`layout_of`) that it has, and how it is written."""

    name: str
    layouts: tuple[str, ...]
    written: str


_NAMES = (
    _Name("SDXL", ("unet",), r"sdxl|stable-diffusion-xl|sd-xl|pony|illustrious|noobai|playground-v2"),
    _Name("SD1.5", ("unet",), r"(^|[-/])sd-?v?1|stable-diffusion-v?-?1"),
    _Name("SD2", ("unet",), r"(^|[-/])sd-?v?2|stable-diffusion-v?-?2"),
    _Name("Stable Cascade", ("unet",), r"cascade|wuerstchen"),
    _Name("SD3", ("sd3", "other"), r"(^|[-/])sd-?v?3|stable-diffusion-v?-?3"),
    _Name("Chroma", ("flux",), r"chroma"),
    _Name("FLUX.2", ("flux",), r"flux-?2|flux-2"),
    _Name("FLUX", ("flux", "other"), r"flux|kontext"),
    _Name("HunyuanVideo 1.5", ("flux", "other"), r"hunyuan-?video-?1-?5|hv-?15"),
    _Name("HunyuanImage", ("flux", "other"), r"hunyuan-?image"),
    _Name("HunyuanVideo", ("flux",), r"hunyuan-?video|framepack"),
    _Name("HunyuanDiT", ("wan", "other"), r"hunyuan-?dit|hydit"),
    _Name("AuraFlow", ("auraflow",), r"aura-?flow"),
    _Name("PixArt", ("pixart", "other"), r"pixart"),
    _Name("Krea 2", ("krea",), r"krea-?2"),
    _Name("Z-Image", ("lumina",), r"z-?image"),
    _Name("Lumina 2", ("lumina", "other"), r"lumina"),
    _Name("Qwen-Image", ("other",), r"qwen-?image|(^|[-/])qwen"),
    _Name("HiDream", ("other",), r"hidream"),
    _Name("Wan", ("wan",), r"(^|[-/])wan"),
    _Name("LTX-2", ("ltx", "other"), r"ltx-?2|ltx-?av"),
    _Name("LTX-Video", ("ltx", "other"), r"ltx"),
    _Name("Mochi", ("mochi",), r"mochi"),
    _Name("Anima", ("cosmos2", "other"), r"anima"),
    _Name("Cosmos Predict 2", ("cosmos2", "other"), r"cosmos-?(predict-?)?2|cosmos-2"),
    _Name("Cosmos", ("cosmos", "cosmos2", "other"), r"cosmos"),
    _Name("CogVideoX", ("cogvideox", "other"), r"cogvideo"),
    _Name("OmniGen 2", ("other",), r"omnigen-?2"),
    _Name("Kandinsky 5", ("other",), r"kandinsky-?5"),
    _Name("ERNIE-Image", ("other",), r"ernie"),
    _Name("Ideogram 4", ("other", "lumina"), r"ideogram-?4"),
)


def base_model_of(shapes: Shapes, metadata: Mapping[str, str] | None = None) -> BaseModel | None:
    """The base model of a LoRA, None where nothing tells it.

    ``shapes`` holds [out, n] of each change by its path, as :func:`module` gives it;
    ``metadata`` is the text in the file. Where the two contradict each other, the layers are right.
    """
    layout = layout_of(shapes)
    written = _written(metadata or {})
    if written is not None and (layout.network is None or layout.network in written.layouts):
        return BaseModel((written.name,))
    names = _by_layers(layout, {flat(path): shape for path, shape in shapes.items()})
    return None if names is None else BaseModel((names,) if isinstance(names, str) else names)


def is_understood(shapes: Shapes) -> bool:
    """Whether the names in a LoRA are those of some network that is known here."""
    return layout_of(shapes).network not in (None, OTHER) or base_model_of(shapes) is not None


def _written(metadata: Mapping[str, str]) -> _Name | None:
    values = [metadata.get(key) for key in _WRITTEN]
    for key, fields in _SETTINGS:
        try:
            settings = json.loads(metadata.get(key) or "{}")
        except ValueError:
            continue
        values += [settings.get(field) for field in fields] if isinstance(settings, dict) else []
    for value in values:
        text = re.sub(r"[ _.:]+", "-", value.lower()) if isinstance(value, str) else ""
        if found := next((name for name in _NAMES if text and re.search(name.written, text)), None):
            return found
    return None


def _by_layers(layout: Layout, shapes: Shapes) -> str | tuple[str, ...] | None:
    if layout.network == UNET:
        return _unet(shapes, layout.attention_in_first_up_block)
    by_sizes: dict[str, Callable[[Shapes], str | tuple[str, ...] | None]] = {
        **{"flux": _flux, "lumina": _lumina, "wan": _wan, "cosmos2": _cosmos2, "ltx": _ltx},
        OTHER: _other,
    }
    alone = {"sd3": "SD3", "pixart": "PixArt", "auraflow": "AuraFlow", "krea": "Krea 2", "mochi": "Mochi"}
    alone |= {"cogvideox": "CogVideoX", "cosmos": "Cosmos"}
    network = layout.network or ""
    return by_sizes[network](shapes) if network in by_sizes else alone.get(network)


def _inputs(shapes: Shapes, pattern: str) -> set[int]:
    return {n for path, (_, n) in shapes.items() if re.search(pattern, path)}


def _has(shapes: Shapes, pattern: str) -> bool:
    return any(re.search(pattern, path) for path in shapes)


def _unet(shapes: Shapes, early_attention: bool | None) -> str | None:
    if _has(shapes, r"^(down|up)_blocks_\d+_\d+_(attention|channelwise|kv_mapper)"):
        return "Stable Cascade"
    # The text encoders' widths.
    widths = {768: "SD1.5", 1024: "SD2", 2048: "SDXL", 1280: "SDXL refiner"}
    found = {widths.get(n) for n in _inputs(shapes, r"_attn2_to_[kv]$")}
    if found:
        return found.pop() if len(found) == 1 else None
    return None if early_attention is None else "SDXL" if early_attention else "SD1.5"


def _flux(shapes: Shapes) -> str | tuple[str, ...] | None:
    if _has(shapes, r"^distilled_guidance_layer_"):
        return "Chroma"
    width = _inputs(
        shapes, r"(img_attn_(qkv|q|k|v)|blocks_\d+_attn_(to_[qkv]|add_q_proj)|linear1(_qkv)?|_lora1)$"
    )
    width |= _inputs(shapes, r"(img|txt)_(mod|attn_proj)|norm1_linear$|img_mlp_(0|fc1)$|ff_net_0_proj$")
    hunyuan = {2048: "HunyuanVideo 1.5", 3584: "HunyuanImage"}
    if len(width) == 1 and (known := hunyuan.get(next(iter(width)))):
        return known
    own = r"txt_in_individual|^context_embedder_(token|proj_in|time)|^img_in_proj|_(img|txt)_attn_(qkv|proj)$"
    tencent = {path for path in shapes if re.search(own, path)} - _bfl(shapes)
    if tencent or _has(shapes, r"single_(transformer_)?blocks_(38|39)_|^(transformer|double)_blocks_19_"):
        return "HunyuanVideo"
    if _has(shapes, r"stream_modulation|to_qkv_mlp_proj$|_ff_linear_in$") or width & {4096, 6144}:
        return "FLUX.2"
    if width and width != {3072}:
        return None
    # Chroma has FLUX's blocks, but what modulates them.
    return (
        "FLUX"
        if _has(shapes, r"(mod_lin|modulation_lin|norm_linear|norm1(_context)?_linear)$|_in_")
        else _FLUX_OR_CHROMA
    )


def _bfl(shapes: Shapes) -> set[str]:
    """The names that FLUX's own, flattened, share with HunyuanVideo's."""
    fused = {path for path in shapes if re.search(r"_(img|txt)_attn_(qkv|proj)$", path)}
    return set() if _has(shapes, r"_(img|txt)_(mlp_fc\d|mod_linear)$") else fused


def _lumina(shapes: Shapes) -> str | None:
    width = _inputs(
        shapes, r"_(attention_(qkv|to_[qkv])|attn_to_[qkv]|feed_forward_(w1|w3|linear_1|linear_3))$"
    )
    return {frozenset({2304}): "Lumina 2", frozenset({3840}): "Z-Image"}.get(frozenset(width))


def _wan(shapes: Shapes) -> str | None:
    return "HunyuanDiT" if _inputs(shapes, r"_attn[12]_to_q$") == {1408} else "Wan"


def _cosmos2(shapes: Shapes) -> str | tuple[str, ...]:
    # Anima is Cosmos Predict 2's network with a text adapter before it.
    if _has(shapes, r"^llm_adapter_"):
        return "Anima"
    return "Cosmos Predict 2", "Anima"


def _ltx(shapes: Shapes) -> str:
    return "LTX-2" if _has(shapes, r"^audio_|_audio_|^av_") else "LTX-Video"


def _other(shapes: Shapes) -> str | None:
    signs = (
        ("Qwen-Image", r"^transformer_blocks_\d+_(img|txt)_(mod_1|mlp_net_)"),
        ("HiDream", r"^(double|single)_stream_blocks_\d+_block_"),
        ("Kandinsky 5", r"^(visual|text)_transformer_blocks_"),
        ("LTX-2", r"^transformer_blocks_\d+_(audio_|video_to_audio)"),
        ("ERNIE-Image", r"^layers_\d+_self_attention_"),
        ("HunyuanDiT", r"^blocks_\d+_attn1_Wqkv$"),
        ("MiniMax H3", r"^blocks_\d+_attn_qkv_proj$"),
    )
    if found := next((name for name, sign in signs if _has(shapes, sign)), None):
        return found
    if _inputs(shapes, r"^layers_\d+_attn_to_q$") == {2520}:
        return "OmniGen 2"
    joint = _inputs(shapes, r"^transformer_blocks_\d+_attn_(to|add)_[qkv]")
    if joint == {3072}:
        # HunyuanVideo and FLUX have fewer blocks of this kind.
        return "Qwen-Image"
    text = _inputs(shapes, r"^transformer_blocks_\d+_attn2_to_[kv]$")
    return "LTX-Video" if text and text <= {2048, 4096} else None
