"""Tiny pipelines of diffusers' own classes with random weights, and the layers that LoRAs for them change."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .loras import Layer

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (a development requirement)")

DTYPE = torch.float64
_WIDTHS = (16, 24, 32, 32)
_TEXT, _FLUX = 24, 32
TO = ("to_q", "to_k", "to_v", "to_out.0")


def _vae(channels: int) -> Any:
    return diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=channels)


def _unet(depths, widths, **more) -> Any:
    """``depths``: transformer blocks of each down block, 0 for a block without attention."""
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    up = ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)]
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=widths,
        down_block_types=down,
        up_block_types=up,
        transformer_layers_per_block=[max(1, depth) for depth in depths],
        cross_attention_dim=_TEXT,
        norm_num_groups=4,
        attention_head_dim=2,
        **more,
    )


def sd15() -> Any:
    torch.manual_seed(1)
    return diffusers.StableDiffusionPipeline(
        vae=_vae(4),
        text_encoder=None,
        tokenizer=None,
        unet=_unet((1, 1, 1, 0), _WIDTHS),
        scheduler=diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    torch.manual_seed(2)
    unet = _unet(
        (0, 1, 2),
        _WIDTHS[:3],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + _TEXT,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(4),
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=unet,
        # As SDXL's own: it does not begin at the largest noise.
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
        ),
        add_watermarker=False,
    )


def flux() -> Any:
    torch.manual_seed(3)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=_FLUX // 16,
        joint_attention_dim=_TEXT,
        pooled_projection_dim=_TEXT,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(4),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )


MAKE = {"sd15": sd15, "sdxl": sdxl, "flux": flux}


def make(family: str):
    """A pipeline in float64 that shows no progress bar."""
    pipe = MAKE[family]().to(DTYPE)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def model_of(pipe) -> torch.nn.Module:
    return pipe.transformer if hasattr(pipe, "transformer") else pipe.unet


def latents(pipe, steps: int, **more) -> torch.Tensor:
    """A run's latents, guided where the pipeline guides; prompts are random numbers."""
    g = torch.Generator().manual_seed(7)

    def prompt(*shape):
        return torch.randn(*shape, generator=g, dtype=DTYPE)

    words = {"prompt_embeds": prompt(1, 5, _TEXT), "num_inference_steps": steps, "output_type": "latent"}
    if isinstance(pipe, diffusers.FluxPipeline):
        words |= {"pooled_prompt_embeds": prompt(1, _TEXT), "height": 8, "width": 8}
    else:
        words |= {
            "negative_prompt_embeds": prompt(1, 5, _TEXT),
            "height": 8,
            "width": 8,
            "guidance_scale": 4.0,
        }
    if isinstance(pipe, diffusers.StableDiffusionXLPipeline):
        words |= {"pooled_prompt_embeds": prompt(1, _TEXT), "negative_pooled_prompt_embeds": prompt(1, _TEXT)}
    return pipe(**words, generator=torch.Generator().manual_seed(5), **more).images


def _attention(sgm: str, diffusers: str, block: int = 0) -> list[tuple[str, str]]:
    names = [f"transformer_blocks.{block}.attn{a}.{part}" for a in (1, 2) for part in TO]
    names += [f"transformer_blocks.{block}.ff.net.0.proj", f"transformer_blocks.{block}.ff.net.2"]
    return [(f"{sgm}.{name}", f"{diffusers}.{name}") for name in names]


# (ComfyUI's name, diffusers' name), and for FLUX the part of the fused rows; by hand, no table of the pack.
_SD15 = [
    *_attention("input_blocks.1.1", "down_blocks.0.attentions.0"),
    *_attention("input_blocks.8.1", "down_blocks.2.attentions.1"),
    *_attention("middle_block.1", "mid_block.attentions.0"),
    *_attention("output_blocks.3.1", "up_blocks.1.attentions.0"),
    *_attention("output_blocks.11.1", "up_blocks.3.attentions.2"),
    ("input_blocks.1.1.proj_in", "down_blocks.0.attentions.0.proj_in"),
    ("input_blocks.1.0.in_layers.2", "down_blocks.0.resnets.0.conv1"),
    ("input_blocks.4.0.skip_connection", "down_blocks.1.resnets.0.conv_shortcut"),
    ("input_blocks.3.0.op", "down_blocks.0.downsamplers.0.conv"),
    ("output_blocks.2.1.conv", "up_blocks.0.upsamplers.0.conv"),
    ("output_blocks.5.2.conv", "up_blocks.1.upsamplers.0.conv"),
    ("out.2", "conv_out"),
]
_SDXL = [
    *_attention("input_blocks.4.1", "down_blocks.1.attentions.0"),
    *_attention("input_blocks.7.1", "down_blocks.2.attentions.0", 1),
    *_attention("middle_block.1", "mid_block.attentions.0"),
    *_attention("output_blocks.2.1", "up_blocks.0.attentions.2"),
    ("output_blocks.2.2.conv", "up_blocks.0.upsamplers.0.conv"),
    ("input_blocks.7.1.proj_out", "down_blocks.2.attentions.0.proj_out"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("middle_block.0.emb_layers.1", "mid_block.resnets.0.time_emb_proj"),
]
_FLUX_FUSED = {
    "double_blocks.{}.img_attn.qkv": [f"transformer_blocks.{{}}.attn.to_{x}" for x in "qkv"],
    "double_blocks.{}.txt_attn.qkv": [f"transformer_blocks.{{}}.attn.add_{x}_proj" for x in "qkv"],
    "single_blocks.{}.linear1": [
        *(f"single_transformer_blocks.{{}}.attn.to_{x}" for x in "qkv"),
        "single_transformer_blocks.{}.proj_mlp",
    ],
}
_FLUX_WHOLE = [
    ("double_blocks.{}.img_attn.proj", "transformer_blocks.{}.attn.to_out.0"),
    ("double_blocks.{}.txt_attn.proj", "transformer_blocks.{}.attn.to_add_out"),
    ("double_blocks.{}.txt_mod.lin", "transformer_blocks.{}.norm1_context.linear"),
    ("double_blocks.{}.img_mlp.2", "transformer_blocks.{}.ff.net.2"),
    ("single_blocks.{}.linear2", "single_transformer_blocks.{}.proj_out"),
    ("single_blocks.{}.modulation.lin", "single_transformer_blocks.{}.norm.linear"),
]


def split_layers(family: str, model: torch.nn.Module) -> list[Layer]:
    """Layers as diffusers keeps them, each with ComfyUI's weight and its first row there."""

    def layer(weight: str, name: str, start: int = 0) -> Layer:
        return Layer(weight, name, tuple(model.get_submodule(name).weight.shape), start)

    if family != "flux":
        return [layer(*pair) for pair in (_SD15 if family == "sd15" else _SDXL)]
    found = [layer(w.format(i), n.format(i)) for w, n in _FLUX_WHOLE for i in (0, 1)]
    for weight, parts in _FLUX_FUSED.items():
        for i in (0, 1):
            start = 0
            for part in parts:
                found.append(layer(weight.format(i), part.format(i), start))
                start += found[-1].shape[0]
    return [*found, layer("img_in", "x_embedder")]


def fused_layers(family: str, model: torch.nn.Module) -> list[Layer]:
    """The same as ComfyUI keeps them."""
    sizes: dict[str, tuple[int, ...]] = {}
    for layer in split_layers(family, model):
        out = layer.shape[0] + sizes.get(layer.weight, (0,))[0]
        sizes[layer.weight] = (out, *layer.shape[1:])
    return [Layer(weight, "", shape) for weight, shape in sizes.items()]
