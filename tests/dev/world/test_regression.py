"""Kept seeds of five pairs, K-LoRA by the pack's own plan and buffers without a host: scores stay where they
were.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from world.hosts import fused
from world.judging.judge import Judge
from world.model.fit_vae import load_decoder
from world.model.lora import read_diffusers_file
from world.model.sampling import first_noise
from world.pairs import PAIRS, TUNING
from world.training.base import load_base
from world.training.loras import Job

pytestmark = pytest.mark.slow

SCORES = Path(__file__).parent / "scores.json"
COUNT, TOLERANCE = 3, 0.02
# One pair of each style, all of them tuning pairs.
NAMES = ("owl-ink", "skull-neon", "ambulance-blueprint", "trumpet-mosaic", "octopus-halftone")
KEPT = [pair for pair in TUNING if pair.name in NAMES]


def measured(pair, schedule: str) -> dict[str, float]:
    loras = [
        read_diffusers_file(load_file(Job("redundant", n, 0).path())) for n in (pair.subject, pair.style)
    ]
    plan, rows = fused.klora_plan(*loras, schedule)
    noise = first_noise(40 + PAIRS.index(pair), COUNT)
    latents = fused.sample(load_base(), pair.prompt, noise, plan, rows)
    with torch.inference_mode():
        verdict = Judge()(load_decoder()(latents).clamp(0, 1), pair.subject, pair.style)
    return {
        "subject": round(float(verdict.subject.mean()), 4),
        "style": round(float(verdict.style.mean()), 4),
    }


def all_measured() -> dict[str, dict[str, float]]:
    """What the kept file holds: written by `python -m tests.dev.world.test_regression`."""
    return {f"{p.name} {s}": measured(p, s) for p in KEPT for s in ("s", "s*")}


def test_kept_seeds_keep_their_scores():
    kept = json.loads(SCORES.read_text())
    assert len(KEPT) == len(NAMES)
    for name, found in all_measured().items():
        for what, value in found.items():
            assert abs(value - kept[name][what]) <= TOLERANCE, (name, what, value, kept[name][what])


if __name__ == "__main__":
    SCORES.write_text(json.dumps(all_measured(), indent=1) + "\n")
