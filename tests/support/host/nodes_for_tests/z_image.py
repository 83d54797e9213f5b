"""Z-Image and its text encoder: the host's loaders tell it by its width of 3840 and fix the encoder's size.

Model class, key map and tokenizer are the real thing.
"""

from __future__ import annotations

from typing import Any

import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import folder_paths
import torch
from comfy.text_encoders.z_image import ZImageTokenizer, te
from comfy_api.latest import io

from .text import TextLoader, small_clip

SMALL = {
    "qwen3_4b_model_config": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
}
# What the host's detection adds for the real width; a head is 128 wide there and here.
_FIXED = {
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}


def load_model(path: str) -> Any:
    """A Z-Image of any width as the host's loader would hand it out."""
    weights = comfy.utils.load_torch_file(path)
    found = comfy.model_detection.detect_unet_config(weights, "")
    heads = found["dim"] // sum(_FIXED["axes_dims"])
    config = comfy.supported_models.ZImage({**found, **_FIXED, "n_heads": heads, "n_kv_heads": heads})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(weights, "")
    model.load_model_weights(weights, "")
    device = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(
        model, load_device=device, offload_device=comfy.model_management.unet_offload_device()
    )


class TinyZImage(io.ComfyNode):
    """Takes UNETLoader's inputs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [io.String.Input(name) for name in ("unet_name", "weight_dtype")]
        return io.Schema(
            node_id="KLoRATestTinyZImage", category="testing", inputs=names, outputs=[io.Model.Output()]
        )

    @classmethod
    def execute(cls, unet_name: str, weight_dtype: str) -> io.NodeOutput:
        return io.NodeOutput(load_model(folder_paths.get_full_path_or_raise("diffusion_models", unet_name)))


class TinyZImageText(TextLoader):
    """In the place of CLIPLoader."""

    NODE_ID = "KLoRATestTinyZImageText"

    @classmethod
    def clip(cls) -> Any:
        return small_clip(ZImageTokenizer, te(), SMALL)
