"""The small world for nodes that learn: words in the place of a CLIP, LoRAs, and pictures to learn from."""

from __future__ import annotations

from typing import Any

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


def good_latents(model: Any, subject: str, style: str, count: int) -> dict[str, Tensor]:
    """Pictures of the subject in the style, as the redundant LoRAs make them, as LATENT."""
    for lora in loras("redundant", subject, style):
        model = comfy.sd.load_lora_for_models(model, None, lora, GOOD, 0)[0]
    made = sample(model, conditioning(Pair(subject, style).prompt), conditioning(""), 11, count)
    return {"samples": model.model.process_latent_out(made)}


__all__ = ["TRIGGERS", "Words", "good_latents", "load_model", "loras", "prompts"]
