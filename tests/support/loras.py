"""Small LoRA files in the spellings of trainers, with what each spelling stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import save_file

H = 16


@dataclass(frozen=True)
class Layer:
    """A module: the weight it changes, the first row, its shape, and how diffusers calls it."""

    weight: str
    diffusers: str
    shape: tuple[int, ...]
    start: int = 0


_ATTENTION = "transformer_blocks.0.attn"


def _unet_block(sgm: str, diffusers: str, width: int) -> list[Layer]:
    layers = []
    for attention, context in (("1", width), ("2", 24)):
        for part, inputs in (("to_q", width), ("to_k", context), ("to_v", context), ("to_out.0", width)):
            name = f"{_ATTENTION}{attention}.{part}"
            layers.append(Layer(f"{sgm}.{name}", f"{diffusers}.{name}", (width, inputs)))
    name = "transformer_blocks.0.ff.net.0.proj"
    return [*layers, Layer(f"{sgm}.{name}", f"{diffusers}.{name}", (8 * width, width))]


UNET = [
    *_unet_block("input_blocks.4.1", "down_blocks.1.attentions.0", 20),
    *_unet_block("middle_block.1", "mid_block.attentions.0", 28),
    *_unet_block("output_blocks.2.1", "up_blocks.0.attentions.2", 32),
    Layer("input_blocks.1.0.in_layers.2", "down_blocks.0.resnets.0.conv1", (12, 12, 3, 3)),
    Layer("input_blocks.3.0.op", "down_blocks.0.downsamplers.0.conv", (12, 12, 3, 3)),
    Layer("output_blocks.2.2.conv", "up_blocks.0.upsamplers.0.conv", (12, 12, 3, 3)),
]


def _flux(split: bool) -> list[Layer]:
    layers = []
    for stream, names in (
        ("img", ("to_q", "to_k", "to_v")),
        ("txt", ("add_q_proj", "add_k_proj", "add_v_proj")),
    ):
        weight = f"double_blocks.0.{stream}_attn.qkv"
        if split:
            layers += [
                Layer(weight, f"transformer_blocks.0.attn.{name}", (H, H), i * H)
                for i, name in enumerate(names)
            ]
        else:
            layers.append(Layer(weight, "", (3 * H, H)))
    layers.append(Layer("double_blocks.0.img_attn.proj", "transformer_blocks.0.attn.to_out.0", (H, H)))
    layers.append(Layer("double_blocks.0.txt_mlp.2", "transformer_blocks.0.ff_context.net.2", (H, 4 * H)))
    single, diffusers = "single_blocks.3.linear1", "single_transformer_blocks.3"
    if split:
        layers += [
            Layer(single, f"{diffusers}.attn.{name}", (H, H), i * H)
            for i, name in enumerate(("to_q", "to_k", "to_v"))
        ]
        layers.append(Layer(single, f"{diffusers}.proj_mlp", (4 * H, H), 3 * H))
    else:
        layers.append(Layer(single, "", (7 * H, H)))
    layers.append(Layer("single_blocks.3.linear2", f"{diffusers}.proj_out", (H, 5 * H)))
    return layers


FLUX_FUSED, FLUX_SPLIT = _flux(split=False), _flux(split=True)

KOHYA = (".lora_up.weight", ".lora_down.weight")
PEFT = (".lora_B.weight", ".lora_A.weight")
OLD = ("_lora.up.weight", "_lora.down.weight")
SPELLINGS = {
    "kohya-sgm": (lambda layer: "lora_unet_" + layer.weight.replace(".", "_"), KOHYA),
    "kohya-diffusers": (lambda layer: "lora_unet_" + layer.diffusers.replace(".", "_"), KOHYA),
    "onetrainer": (lambda layer: "lora_transformer_" + layer.diffusers.replace(".", "_"), KOHYA),
    "simpletuner": (lambda layer: "lycoris_" + layer.diffusers.replace(".", "_"), KOHYA),
    "diffusers-old": (
        lambda layer: "unet.unet." + layer.diffusers.replace(".to_", ".processor.to_").removesuffix(".0"),
        OLD,
    ),
    "peft": (lambda layer: "unet.base_model.model." + layer.diffusers, PEFT),
    "transformer": (lambda layer: "transformer." + layer.diffusers, PEFT),
    "ai-toolkit": (lambda layer: "diffusion_model." + layer.weight, PEFT),
    "bfl": (lambda layer: layer.weight, PEFT),
}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Made:
    """A file, and for the oracle what its modules stand for: spelling -> (weight, first row)."""

    path: object
    table: dict[str, tuple[str, int]]
    suffixes: tuple[str, str]


def make(
    path,
    layers: list[Layer],
    spelling: str,
    *,
    seed: int = 0,
    ranks: tuple[int, ...] = (4,),
    dtype: str = "fp32",
    alpha: float | None = None,
    heavy: bool = True,
    size: float = 0.05,
) -> Made:
    """Write a LoRA of random factors; Student-t with 2.5 degrees of freedom where ``heavy``."""
    rng = np.random.default_rng(seed)
    spell, suffixes = SPELLINGS[spelling]
    tensors, table = {}, {}
    for number, layer in enumerate(layers):
        rank = ranks[number % len(ranks)]
        kernel = layer.shape[2:]
        shapes = ((layer.shape[0], rank, *(1 for _ in kernel)), (rank, layer.shape[1], *kernel))
        module = spell(layer)
        # Some layers are much stronger than others, so that winners differ.
        strength = size * 2 ** rng.normal()
        for suffix, shape, factor in zip(suffixes, shapes, (strength, 1.0), strict=True):
            values = rng.standard_t(2.5, shape) if heavy else rng.normal(size=shape)
            tensors[module + suffix] = torch.tensor(values * factor).to(DTYPES[dtype])
        if alpha is not None:
            tensors[module + ".alpha"] = torch.tensor(alpha * (1 + number % 3), dtype=DTYPES[dtype])
        table[module] = (layer.weight, layer.start)
    save_file(tensors, path)
    return Made(path, table, suffixes)
