"""For tests of Pick and Learn: the small world's settings, what a sheet tells, and core's own sampler."""

from __future__ import annotations

import os

import folder_paths
import torch

import nodes as core_nodes
from tests.support.learning.world import Words
from world.pairs import Pair

PAIR = Pair("owl", "mosaic")
SETTINGS = {
    "prompt": PAIR.prompt,
    "negative": "",
    "width": 96,
    "height": 96,
    "steps": 2,
    "cfg": 1.0,
    "scheduler": "simple",
    "seed": 5,
    "pictures": 1,
    "rules": "sum 0.7, sum 1/0.5, K-LoRA s -0.5",
    "learning_steps": 4,
}


def line_of(document, rule):
    return next(p["line"] for p in document["pictures"] if p["rule"] == rule)


def file_of(picture):
    image = picture["image"]
    return os.path.join(folder_paths.get_temp_directory(), image["subfolder"], image["filename"])


def is_blocked(value):
    return type(value).__name__ == "ExecutionBlocker"


def by_core(model, seed):
    empty = {"samples": torch.zeros(1, 16, 12, 12)}
    positive, negative = (Words().encode_from_tokens_scheduled(t) for t in (PAIR.prompt, ""))
    how = seed, 2, 1.0, "euler", "simple"
    return core_nodes.common_ksampler(model, *how, positive, negative, empty)[0]["samples"]


def latents_of(temp):
    return {path.stem: torch.load(path)["latent"] for path in temp.rglob("klora_picks/*.pt")}


def learned_latent(temp, seed):
    """The kept latents of a noise."""
    return [latent for name, latent in latents_of(temp).items() if name.endswith(f"-{seed}")]
