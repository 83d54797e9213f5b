"""The small world for nodes that learn: words in the place of a CLIP, LoRAs, and pictures to learn from."""

from __future__ import annotations

import gc
import os
from typing import Any

import comfy.hooks
import comfy.sd
from safetensors.torch import load_file
from torch import Tensor

from world.hosts.in_host import Words, conditioning, load_model, sample
from world.pairs import TRIGGERS, Pair
from world.training.loras import Job

GOOD = 0.5
"""The strength at which the redundant LoRAs of an owl and of mosaic, summed, give an owl in mosaic."""


def loras(world: str, *names: str) -> list[dict[str, Tensor]]:
    """LoRAs of a world, subject and style."""
    return [load_file(Job(world, name, 0).path()) for name in names]


def prompts(*names: str) -> str:
    """What they are asked for alone."""
    return "\n".join(TRIGGERS[name] for name in names)


class Hooked(Words):
    """Words whose prompts have hooks, as a CLIP gives them behind Set CLIP Hooks."""

    def encode_from_tokens_scheduled(self, tokens: str) -> list:
        return hooked(super().encode_from_tokens_scheduled(tokens))


def hooked(condition: list) -> list:
    """CONDITIONING with a hook."""
    hook = comfy.hooks.create_hook_lora(lora={}, strength_model=1.0, strength_clip=0.0)
    return [[encoded, {**more, "hooks": hook}] for encoded, more in condition]


def good_latents(model: Any, subject: str, style: str, count: int) -> dict[str, Tensor]:
    """Pictures of the subject in the style, as the redundant LoRAs make them, as LATENT."""
    for lora in loras("redundant", subject, style):
        model = comfy.sd.load_lora_for_models(model, None, lora, GOOD, 0)[0]
    made = sample(model, conditioning(Pair(subject, style).prompt), conditioning(""), 11, count)
    return {"samples": model.model.process_latent_out(made)}


def left_on(model: Any) -> list[str]:
    """What a learning forgot to take off: hooks, replaced forwards, gradients."""
    network = model.model
    return [
        name
        for name, module in network.named_modules()
        if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__
    ] + [name for name, p in network.named_parameters() if p.requires_grad or p.grad is not None]


def resident() -> float:
    """MiB of this process, on systems that tell."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


__all__ = [
    "TRIGGERS",
    "Hooked",
    "Words",
    "good_latents",
    "hooked",
    "left_on",
    "load_model",
    "loras",
    "prompts",
    "resident",
]
