"""Shared by the host tests: calling the Fuse node, and LoRA pairs for the tiny models."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import comfy.sd

from tests.support.host.reference import random_lora

_BLOCK = "transformer_blocks.0"
UNET_LAYERS = (
    *(f"input_blocks.1.1.{_BLOCK}.{a}.{p}" for a in ("attn1", "attn2") for p in ("to_q", "to_k", "to_v")),
    *(f"middle_block.1.{_BLOCK}.{a}.{p}" for a in ("attn1", "attn2") for p in ("to_q", "to_out.0")),
    *(f"output_blocks.{b}.1.{_BLOCK}.attn2.to_v" for b in (0, 1, 2, 3)),
    *(f"output_blocks.{b}.1.{_BLOCK}.ff.net.2" for b in (0, 2)),
    "input_blocks.1.1.proj_in",
    "input_blocks.1.0.in_layers.2",
    "input_blocks.1.0.emb_layers.1",
)


class Fused(NamedTuple):
    """The four outputs of K-LoRA Fuse."""

    model: Any
    clip: Any
    plan: Any
    report: str


def part(pack, name: str):
    """A module of the imported pack, by its dotted path below it."""
    return importlib.import_module(f"{pack.__name__}.{name}")


def fuse(pack, model, subject, style, **options) -> Fused:
    """KLoRAFuse with the defaults of its schema."""
    settings = {
        "subject_strength": 1.0,
        "style_strength": 1.0,
        "balance": 0.0,
        "schedule": {"schedule": "s", "alpha": 1.5, "beta": 0.5},
        **options,
    }
    return Fused(*part(pack, "nodes").KLoRAFuse.execute(model, subject, style, **settings).result)


def unet_pair(model):
    """Unequal ranks and alphas, convolutions among the layers, and one layer that the other LoRA lacks."""
    subject = random_lora(model, [*UNET_LAYERS, "output_blocks.3.0.out_layers.3"], rank=6, seed=1, alpha=3)
    style = random_lora(model, [*UNET_LAYERS, f"output_blocks.1.1.{_BLOCK}.attn1.to_q"], rank=4, seed=2)
    return subject, style


def relative(found, expected) -> float:
    return float((found - expected).norm() / expected.norm())


def baked(model, lora, strength=1.0):
    """The model with a LoRA of core's own loader."""
    return comfy.sd.load_lora_for_models(model, None, lora, strength, 0)[0]


def lora_set(pack, *members):
    """A LORA_SET of (LoRA, role, strength), through LoRA Set nodes in a row."""
    execute, found = part(pack, "nodes").KLoRASet.execute, None
    for lora, role, strength in members:
        found = execute(strength, role, lora=lora, set=found).result[0]
    return found


def subject_and_style(pack, pair, *strengths):
    """The same of a pair."""
    return lora_set(pack, *zip(pair, ("subject", "style"), strengths or (1.0, 1.0), strict=True))


def compose(pack, model, loras, method, **options) -> Fused:
    """KLoRACompose; ``method`` is a name or what the node's dynamic combo gives."""
    return Fused(*part(pack, "nodes").KLoRACompose.execute(model, loras, method, **options).result)


def merged(pack, model, loras, method, rank=0, **options):
    """(LORA_MODEL, report) of KLoRAMerge."""
    return part(pack, "nodes").KLoRAMerge.execute(model, loras, method, rank, **options).result
