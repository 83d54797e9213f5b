"""The base model that the host has loaded, or has in a file, by the name that people call it."""

from __future__ import annotations

from typing import Any

import torch
from comfy import model_detection

from ...klora_core.files import read_header, utf8_path
from .file_memo import FileMemo
from .folders import listed

# By the host's class of settings, whose variants are its subclasses (comfy.supported_models). One name for
# networks whose LoRAs are the same: Stable Zero123 is SD 1.5 trained on.
_NAMES = {
    **{"SD15": "SD1.5", "SD20": "SD2", "SDXL": "SDXL", "SDXLRefiner": "SDXL refiner", "SD3": "SD3"},
    **{"SVD_img2vid": "Stable Video Diffusion", "Stable_Zero123": "SD1.5", "SSD1B": "SSD-1B"},
    **{"Segmind_Vega": "Segmind Vega", "KOALA_700M": "KOALA 700M", "KOALA_1B": "KOALA 1B"},
    **{"Stable_Cascade_C": "Stable Cascade", "StableAudio": "Stable Audio", "AuraFlow": "AuraFlow"},
    **{"PixArtAlpha": "PixArt", "HunyuanDiT": "HunyuanDiT", "Flux": "FLUX", "Flux2": "FLUX.2"},
    **{"Chroma": "Chroma", "LongCatImage": "LongCat-Image", "Lens": "Lens", "GenmoMochi": "Mochi"},
    **{"LTXV": "LTX-Video", "LTXAV": "LTX-2", "MiniMaxH3": "MiniMax H3", "HunyuanVideo": "HunyuanVideo"},
    **{"HunyuanVideo15": "HunyuanVideo 1.5", "HunyuanVideo15_SR_Distilled": "HunyuanVideo 1.5"},
    **{"HunyuanImage21": "HunyuanImage", "HunyuanImage21Refiner": "HunyuanImage refiner"},
    **{"CosmosT2V": "Cosmos", "CosmosT2IPredict2": "Cosmos Predict 2", "Anima": "Anima"},
    **{"Lumina2": "Lumina 2", "ZImage": "Z-Image", "PixelDiTT2I": "PixelDiT", "PiD": "PiD"},
    **{"WAN21_T2V": "Wan", "Hunyuan3Dv2": "Hunyuan3D 2", "HiDream": "HiDream", "HiDreamO1": "HiDream O1"},
    **{"SeedVR2": "SeedVR2", "ACEStep": "ACE-Step", "ACEStep15": "ACE-Step 1.5", "Omnigen2": "OmniGen 2"},
    **{"Boogu": "Boogu", "Ideogram4": "Ideogram 4", "Krea2": "Krea 2", "MageFlow": "MageFlow"},
    **{"QwenImage": "Qwen-Image", "JoyImage": "JoyImage", "Kandinsky5": "Kandinsky 5"},
    **{"ErnieImage": "ERNIE-Image", "CogVideoX_T2V": "CogVideoX"},
}


def of_model(model: Any) -> str:
    """The base model of a ModelPatcher or of the host's model in it; one that is not known, by its class."""
    inner = getattr(model, "model", model)
    return known_model(model) or f"a model that is not known here ({type(inner).__name__})"


def known_model(model: Any) -> str:
    """The same, empty for one that is not known."""
    return of_config(getattr(getattr(model, "model", model), "model_config", None))


def of_config(config: Any) -> str:
    """The base model by the host's settings of it; empty for one that is not known."""
    return next((_NAMES[kind.__name__] for kind in type(config).__mro__ if kind.__name__ in _NAMES), "")


FOLDERS = ("checkpoints", "diffusion_models")


def of_file(folder: str, name: str) -> str:
    """The base model of a safetensors file of one of FOLDERS; empty where nothing tells it."""
    path = listed(folder, name) if folder in FOLDERS else None
    return _FILES.of(path) if path else ""


def _of_file(path: str) -> str:
    with utf8_path(path) as plain:
        shapes, _ = read_header(plain)
    try:
        state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        guess = model_detection.unet_prefix_from_state_dict(state)
        prefix = guess if any(key.startswith(guess) for key in state) else ""
        config = model_detection.model_config_from_unet(state, prefix)
        return of_config(config or model_detection.model_config_from_diffusers_unet(state))
    except Exception:  # The host takes for granted that a file is one that it knows.
        return ""


_FILES = FileMemo(_of_file, "")
