"""The gate that a LoRA passes before any method is run on it, written down before any was trained.

    python -m world.training.gate [SEEDS]

SOUND: with its own prompt and all slots a LoRA scores .8 or more. REDUNDANT: with a random half of its
slots (16 of 33, eight draws) it keeps 90 % of that. A world is redundant where both hold; the plain world
is reported beside it.
"""

from __future__ import annotations

import json
import sys
from functools import partial

import numpy as np
import torch

from ..draw.forms import SHAPES, SUBJECTS
from ..draw.scenes import COLOURS, GROUNDS
from ..draw.words import TRIGGERS, encode, load_table
from ..judging.judge import Judge
from ..judging.network import CLASSES
from ..model.fit_vae import load_decoder
from ..model.lora import SLOTS, added, read_diffusers_file
from ..model.sampling import first_noise, sample
from ..places import WORDS_FILE, WORK
from .base import load_base
from .loras import Job, jobs

SOUND = 0.8
KEEPS = 0.9
DRAWS = 8
FULL, HALF = 16, 4


def own_prompts(name: str) -> list[str]:
    """Prompts like those of the training."""
    if name in SUBJECTS:
        return [f"{TRIGGERS[name]} flat {ground}" for ground in GROUNDS]
    return [
        f"{colour} {shape} {TRIGGERS[name]}" for colour, shape in zip([*COLOURS] * 2, SHAPES, strict=False)
    ]


class Gate:
    """Own scores of LoRAs."""

    def __init__(self) -> None:
        self.base, self.decoder, self.judge, self.table = (
            load_base(),
            load_decoder(),
            Judge(),
            load_table(WORDS_FILE),
        )

    def score(self, job: Job, slots: set[int] | None, count: int, seed: int) -> float:
        """Mean own score over pictures from the LoRA's own prompts, one prompt after another."""
        from safetensors.torch import load_file

        factors = read_diffusers_file(load_file(job.path()))
        added(self.base, factors, 1.0, slots)
        prompts = own_prompts(job.name)
        noise = first_noise(seed, count)
        each = [
            sample(self.base, partial(encode, self.table), prompts[(seed + i) % len(prompts)], noise[i : i + 2])
            for i in range(0, count, 2)
        ]
        added(self.base, factors, -1.0, slots)
        with torch.inference_mode():
            silhouettes, marks, styles = self.judge.see(self.decoder(torch.cat(each)).clamp(0, 1))
        if job.name in SUBJECTS:
            return float(self.judge.subject(silhouettes, marks, job.name, "flat").mean())
        return float(styles[:, CLASSES.index(job.name)].mean())

    def report(self, job: Job) -> dict[str, object]:
        """One line of the gate's table."""
        full = self.score(job, None, FULL, 500)
        rng = np.random.default_rng(11)
        halves = [set(rng.choice(len(SLOTS), len(SLOTS) // 2, replace=False).tolist()) for _ in range(DRAWS)]
        half = float(np.mean([self.score(job, kept, HALF, 600 + i) for i, kept in enumerate(halves)]))
        return {
            "world": job.world, "name": job.name, "seed": job.seed, "full": full, "half": half,
            "sound": full >= SOUND, "redundant": half >= KEEPS * full,
        }  # fmt: skip


def main() -> None:
    """Measure what has not been measured; print the table."""
    torch.set_num_threads(1)
    path = WORK / "gate.json"
    kept = (
        {(r["world"], r["name"], r["seed"]): r for r in json.loads(path.read_text())} if path.exists() else {}
    )
    gate = Gate()
    for job in jobs(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        key = (job.world, job.name, job.seed)
        if key not in kept and job.path().exists():
            kept[key] = gate.report(job)
            path.write_text(json.dumps(list(kept.values()), indent=1))
            sys.stdout.write(f"{kept[key]}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
