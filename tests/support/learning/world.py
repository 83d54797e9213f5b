"""The small world for nodes that learn: words in the place of a CLIP, LoRAs, and true pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from world.draw.scenes import Scene, draw, random_scene
from world.draw.words import TRIGGERS, encode, load_table
from world.hosts.in_host import load_model
from world.model.fit_vae import load_components
from world.model.latents import encode as to_latents
from world.places import WEIGHTS, WORDS_FILE


class Words:
    """Words of the world as a CLIP gives them: nodes ask a CLIP for no more than this."""

    cond_stage_model = None

    def __init__(self) -> None:
        self._table = load_table(WORDS_FILE)

    def tokenize(self, text: str) -> str:
        return text.replace(",", " ")

    def encode_from_tokens_scheduled(self, tokens: str) -> list:
        context, pooled = encode(self._table, tokens)
        return [[context, {"pooled_output": pooled}]]


def loras(world: str, *names: str) -> list[dict[str, Tensor]]:
    """LoRAs of a world, subject and style."""
    return [load_file(WEIGHTS / f"{world}-{name}.safetensors") for name in names]


def prompts(*names: str) -> str:
    """What they are asked for alone."""
    return "\n".join(TRIGGERS[name] for name in names)


def true_latents(model: Any, subject: str, style: str, count: int) -> dict[str, Tensor]:
    """Pictures of the subject in the style, as the renderer draws them, as LATENT."""
    rng = np.random.default_rng(11)
    scenes: list[Scene] = [random_scene(rng, (subject,), (style,)) for _ in range(count)]
    pictures = torch.from_numpy(np.stack([draw(scene) for scene in scenes])).permute(0, 3, 1, 2)
    seen = to_latents(pictures, *load_components())
    return {"samples": model.model.process_latent_out(seen)}


__all__ = ["TRIGGERS", "Words", "load_model", "loras", "prompts", "true_latents"]
