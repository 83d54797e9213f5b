"""Diffusers' module names as ComfyUI spells the same modules: UNet, FLUX, Z-Image, HunyuanVideo."""

from __future__ import annotations

import re

# A weight, and which part of its fused rows, counted in widths of the model; None for all rows.
Target = tuple[str, int | None]

_UNET_TOP = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(attentions|resnets)\.(\d+)\.(.+)")
_UNET_MIDDLE = re.compile(r"mid_block\.(attentions|resnets)\.(\d+)\.(.+)")
_UNET_SAMPLER = re.compile(r"(down|up)_blocks\.(\d+)\.(?:down|up)samplers\.0\.conv")
_SHORT_TO_OUT = re.compile(r"(\.attn\d\.to_out)$")


def unet(path: str, attention_in_first_up_block: bool) -> str | None:
    """A diffusers UNet path (SD 1.5, SD 2, SDXL) as an sgm path, None for a path of another kind.

    The flag settles where the first up block's upsampler sits: behind its attention (SDXL) or alone.
    """
    path = _SHORT_TO_OUT.sub(r"\1.0", path)
    if path in _UNET_TOP:
        return _UNET_TOP[path]
    if found := _UNET_BLOCK.fullmatch(path):
        way, block, kind, index, rest = found.groups()
        number = 3 * int(block) + int(index)
        stage = f"input_blocks.{number + 1}" if way == "down" else f"output_blocks.{number}"
        return f"{stage}.1.{rest}" if kind == "attentions" else f"{stage}.0.{_RESNET.get(rest, rest)}"
    if found := _UNET_MIDDLE.fullmatch(path):
        kind, index, rest = found.groups()
        if kind == "attentions":
            return f"middle_block.1.{rest}"
        return f"middle_block.{2 * int(index)}.{_RESNET.get(rest, rest)}"
    if found := _UNET_SAMPLER.fullmatch(path):
        way, block = found[1], int(found[2])
        if way == "down":
            return f"input_blocks.{3 * block + 3}.0.op"
        return f"output_blocks.{3 * block + 2}.{2 if block or attention_in_first_up_block else 1}.conv"
    # An sgm path that only lacks to_out's index.
    return path if path.startswith(("input_blocks.", "middle_block.", "output_blocks.")) else None


_FLUX_TOP = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
    "controlnet_x_embedder": "pos_embed_input",
}
_FLUX_DOUBLE: dict[str, Target] = {
    "attn.to_q": ("img_attn.qkv", 0),
    "attn.to_k": ("img_attn.qkv", 1),
    "attn.to_v": ("img_attn.qkv", 2),
    "attn.add_q_proj": ("txt_attn.qkv", 0),
    "attn.add_k_proj": ("txt_attn.qkv", 1),
    "attn.add_v_proj": ("txt_attn.qkv", 2),
    "attn.to_out.0": ("img_attn.proj", None),
    "attn.to_out": ("img_attn.proj", None),
    "attn.to_add_out": ("txt_attn.proj", None),
    "norm1.linear": ("img_mod.lin", None),
    "norm1_context.linear": ("txt_mod.lin", None),
    "ff.net.0.proj": ("img_mlp.0", None),
    "ff.net.2": ("img_mlp.2", None),
    "ff.linear_in": ("img_mlp.0", None),
    "ff.linear_out": ("img_mlp.2", None),
    "ff_context.net.0.proj": ("txt_mlp.0", None),
    "ff_context.net.2": ("txt_mlp.2", None),
    "ff_context.linear_in": ("txt_mlp.0", None),
    "ff_context.linear_out": ("txt_mlp.2", None),
}
_FLUX_SINGLE: dict[str, Target] = {
    "attn.to_q": ("linear1", 0),
    "attn.to_k": ("linear1", 1),
    "attn.to_v": ("linear1", 2),
    "proj_mlp": ("linear1", 3),
    "proj_out": ("linear2", None),
    "norm.linear": ("modulation.lin", None),
    "attn.to_qkv_mlp_proj": ("linear1", None),
    "attn.to_out": ("linear2", None),
}
FLUX_SINGLE = re.compile(r"single_transformer_blocks\.(\d+)\.(.+)")
FLUX_DOUBLE = re.compile(r"transformer_blocks\.(\d+)\.(.+)")
FLUX_SWAPPED = "norm_out.linear"


def flux(path: str) -> Target | None:
    """A diffusers FLUX path as (BFL path, part of its rows or None for all), None for any other path."""
    if path in _FLUX_TOP:
        return _FLUX_TOP[path], None
    for pattern, block, table in (
        (FLUX_SINGLE, "single_blocks", _FLUX_SINGLE),
        (FLUX_DOUBLE, "double_blocks", _FLUX_DOUBLE),
    ):
        if found := pattern.fullmatch(path):
            target = table.get(found[2])
            return None if target is None else (f"{block}.{found[1]}.{target[0]}", target[1])
    return None


def is_flux_single(path: str) -> bool:
    """Whether a path is one of a FLUX single block, in diffusers' spelling."""
    found = FLUX_SINGLE.fullmatch(path)
    return found is not None and found[2] in _FLUX_SINGLE


_Z_IMAGE = re.compile(r"((?:layers|context_refiner|noise_refiner)\.\d+\.attention)\.to_(q|k|v|out\.0|out)")
_Z_IMAGE_TOP = re.compile(r"all_(final_layer|x_embedder)\.\d+-\d+(.*)")


def z_image(path: str) -> Target | None:
    """A diffusers Z-Image path as (ComfyUI path, third of the fused q, k, v rows), None for any other."""
    if found := _Z_IMAGE.fullmatch(path):
        if found[2].startswith("out"):
            return f"{found[1]}.out", None
        return f"{found[1]}.qkv", "qkv".index(found[2])
    if found := _Z_IMAGE_TOP.fullmatch(path):
        return found[1] + found[2], None
    return None


_HUNYUAN = (
    (re.compile(r"^(double_blocks\.\d+\.(?:img|txt))_attn_(qkv|proj)$"), r"\1_attn.\2"),
    (re.compile(r"^(double_blocks\.\d+\.(?:img|txt)_mod)\.linear$"), r"\1.lin"),
    (re.compile(r"^(double_blocks\.\d+\.(?:img|txt)_mlp)\.fc1$"), r"\1.0"),
    (re.compile(r"^(double_blocks\.\d+\.(?:img|txt)_mlp)\.fc2$"), r"\1.2"),
    (re.compile(r"^(single_blocks\.\d+\.modulation)\.linear$"), r"\1.lin"),
    (
        re.compile(r"^(txt_in\.individual_token_refiner\.blocks\.\d+)\.self_attn_(qkv|proj)$"),
        r"\1.self_attn.\2",
    ),
    (re.compile(r"^(txt_in\.individual_token_refiner\.blocks\.\d+\.mlp)\.fc1$"), r"\1.0"),
    (re.compile(r"^(txt_in\.individual_token_refiner\.blocks\.\d+\.mlp)\.fc2$"), r"\1.2"),
)


def hunyuan_video(path: str) -> str:
    """The original HunyuanVideo spellings inside its blocks as ComfyUI's; others unchanged."""
    for pattern, name in _HUNYUAN:
        path = pattern.sub(name, path)
    return path
