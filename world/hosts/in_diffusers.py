"""The same weights in diffusers' classes, for sampling without ComfyUI. Needs diffusers (a development
requirement).
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny, SD3Transformer2DModel
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file
from torch import Tensor, nn

from klora_core.toy import WIDTH

from ..model.latents import CHANNELS
from ..model.mmdit import BLOCKS, GRID, HEADS, HIDDEN, PATCH
from ..places import BASE_FILE, VAE_FILE


def load_transformer(path: Path = BASE_FILE) -> SD3Transformer2DModel:
    """The base as SD3Transformer2DModel, float32."""
    model = SD3Transformer2DModel(
        sample_size=GRID * PATCH,
        patch_size=PATCH,
        in_channels=CHANNELS,
        num_layers=BLOCKS,
        attention_head_dim=HIDDEN // HEADS,
        num_attention_heads=HEADS,
        joint_attention_dim=WIDTH,
        caption_projection_dim=HIDDEN,
        pooled_projection_dim=WIDTH,
        out_channels=CHANNELS,
        pos_embed_max_size=GRID,
        qk_norm="rms_norm",
    )
    weights = convert_sd3_transformer_checkpoint_to_diffusers(
        {k: v.float() for k, v in load_file(path).items()}
    )
    model.load_state_dict(weights, strict=True)
    return model.eval().requires_grad_(False)


def load_vae(path: Path = VAE_FILE) -> AutoencoderTiny:
    """The VAE as AutoencoderTiny, float32: it takes and gives the latents that the model works in, pictures
    in -1..1.
    """
    vae = AutoencoderTiny(latent_channels=CHANNELS)
    weights: dict[str, Tensor] = {}
    for key, value in load_file(path).items():
        part, _, rest = key.partition(".")
        number, _, name = rest.partition(".")
        # diffusers keeps the decoder's clamp outside of its layers.
        if part == "taesd_encoder":
            weights[f"encoder.layers.{number}.{name}"] = value.float()
        elif part == "taesd_decoder":
            weights[f"decoder.layers.{int(number) - 1}.{name}"] = value.float()
    vae.load_state_dict(weights, strict=True)
    return vae.eval().requires_grad_(False)


class AsMMDiT(nn.Module):
    """SD3Transformer2DModel called as mmdit.MMDiT is, so that sampling.sample runs it."""

    def __init__(self, transformer: SD3Transformer2DModel) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, x: Tensor, t: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
        return self.transformer(
            hidden_states=x,
            timestep=t,
            encoder_hidden_states=context,
            pooled_projections=pooled,
            return_dict=False,
        )[0]


@torch.inference_mode()
def decode(vae: AutoencoderTiny, latents: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in 0..1."""
    return (vae.decode(latents, return_dict=False)[0] / 2 + 0.5).clamp(0, 1)
