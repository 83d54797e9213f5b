"""Custom nodes for tests: Z-Image and its text encoder, shrunk to fit a test machine.

The host's loaders tell Z-Image by its width of 3840 and fix the size of its text encoder, so the shipped
Z-Image workflow is executed with these nodes in the places of UNETLoader and CLIPLoader. Model class, key
map, tokenizer and everything else in it are the real thing.
"""

from __future__ import annotations

from typing import Any

import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.supported_models_base
import comfy.text_encoders.z_image
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import ComfyExtension, io

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


def small_clip() -> Any:
    """The real tokenizer and the text encoder's own class with random weights."""
    target = comfy.supported_models_base.ClipTarget(
        comfy.text_encoders.z_image.ZImageTokenizer, comfy.text_encoders.z_image.te()
    )
    clip = comfy.sd.CLIP(target, model_options={**SMALL, "dtype": torch.float32})
    rng = torch.Generator().manual_seed(3)
    for name, weight in clip.cond_stage_model.named_parameters():
        if weight.ndim < 2:
            weight.data.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            weight.data.normal_(0.0, 0.05, generator=rng)
    return clip


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


class TinyZImageText(io.ComfyNode):
    """Takes CLIPLoader's inputs and ignores the file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [io.String.Input(name) for name in ("clip_name", "type")]
        return io.Schema(
            node_id="KLoRATestTinyZImageText",
            category="testing",
            inputs=[*names, io.String.Input("device", optional=True)],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls, **_: str) -> io.NodeOutput:
        return io.NodeOutput(small_clip())


class _Extension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [TinyZImage, TinyZImageText]


async def comfy_entrypoint() -> ComfyExtension:
    """The host's entry point."""
    return _Extension()
