"""The base model in a file that is not loaded: by the host's own look at its tensors' names and shapes."""

from __future__ import annotations

import os
from functools import lru_cache

import folder_paths
import torch
from comfy import model_detection

from ..klora_core import headers
from ..klora_core.files import utf8_path
from .base_model import of_config

FOLDERS = ("checkpoints", "diffusion_models")


def base_of(folder: str, name: str) -> str:
    """The base model of a safetensors file of one of FOLDERS; empty where nothing tells it."""
    path = folder_paths.get_full_path(folder, name) if folder in FOLDERS else None
    return _base_of(path, os.stat(path).st_mtime_ns) if path else ""


@lru_cache(maxsize=64)
def _base_of(path: str, _changed: int) -> str:
    with utf8_path(path) as plain:
        shapes, _ = headers.read(plain)
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    try:
        guess = model_detection.unet_prefix_from_state_dict(state)
        prefix = guess if any(key.startswith(guess) for key in state) else ""
        config = model_detection.model_config_from_unet(state, prefix)
        return of_config(config or model_detection.model_config_from_diffusers_unet(state))
    except Exception:  # The host takes for granted that a file is one that it knows.
        return ""
