"""Diffusers' module names of a UNet as ComfyUI spells the same modules."""

from __future__ import annotations

import re

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
    if module := _UNET_BLOCK.fullmatch(path):
        way, block, kind, index, rest = module.groups()
        number = 3 * int(block) + int(index)
        stage = f"input_blocks.{number + 1}" if way == "down" else f"output_blocks.{number}"
        return f"{stage}.1.{rest}" if kind == "attentions" else f"{stage}.0.{_RESNET.get(rest, rest)}"
    if module := _UNET_MIDDLE.fullmatch(path):
        kind, index, rest = module.groups()
        if kind == "attentions":
            return f"middle_block.1.{rest}"
        return f"middle_block.{2 * int(index)}.{_RESNET.get(rest, rest)}"
    if sampler := _UNET_SAMPLER.fullmatch(path):
        way, block = sampler[1], int(sampler[2])
        if way == "down":
            return f"input_blocks.{3 * block + 3}.0.op"
        return f"output_blocks.{3 * block + 2}.{2 if block or attention_in_first_up_block else 1}.conv"
    # An sgm path that only lacks to_out's index.
    return path if path.startswith(("input_blocks.", "middle_block.", "output_blocks.")) else None
