"""Trains subject and style LoRAs, each from 16 fixed pictures: plain ones, and redundant ones by slot
dropout.

    python -m world.training.loras WORKERS [SEEDS]      a queue; finished files are skipped, so it resumes

Redundant: the paper's premise is that a random half of a LoRA's layers is enough. Ordinary training on so
small a model does not give that. Dropping each slot with a probability that rises to one half does; a fifth
of the pictures keeps all.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..draw.forms import SHAPES, SUBJECTS
from ..draw.scenes import Scene, draw, random_scene
from ..draw.styles import HELD_OUT_STYLES
from ..draw.words import PAD, TRIGGERS, condition, ids_of, load_table, words_of
from ..logs import Progress
from ..model.fit_vae import load_components
from ..model.latents import encode
from ..model.lora import (
    SLOTS,
    Factors,
    Mask,
    SideLinear,
    attach,
    diffusers_file,
    factors_of,
    kohya_file,
    read_diffusers_file,
)
from ..model.mmdit import MMDiT
from ..places import SEED, WEIGHTS, WORDS_FILE, WORK, ensure_folders
from .base import load_base, noised
from .claims import claim

PICTURES = 16
BATCH = 16
RATE = 2e-3


@dataclass(frozen=True)
class World:
    """How LoRAs of one world are trained: rank; steps, and share of slots dropped, of each cycle."""

    rank: int
    cycles: tuple[int, ...]
    dropout: tuple[float, ...]


# The first cycle raises its dropout from nothing by its middle; more than one half is dropped at the end,
# because a random half is then no extreme any more.
WORLDS: dict[str, World] = {
    "redundant": World(16, (450, 300, 400, 600), (0.5, 0.5, 0.6, 0.6)),
    "plain": World(8, (225, 225), (0.0, 0.0)),
}
NAMES: tuple[str, ...] = (*SUBJECTS, *HELD_OUT_STYLES)
SEEDS = 3


@dataclass(frozen=True)
class Job:
    """One LoRA to train."""

    world: str
    name: str
    seed: int

    def path(self, spelling: str = "diffusers") -> Path:
        """Where its file lies: the first seed's diffusers files are committed."""
        folder = WEIGHTS if self.seed == 0 and spelling == "diffusers" else WORK / "loras" / spelling
        return folder / f"{self.world}-{self.name}{'' if self.seed == 0 else f'-{self.seed}'}.safetensors"


def jobs(seeds: int = SEEDS) -> list[Job]:
    """All trainings, whole tables first: every LoRA of both worlds before the next seed."""
    return [Job(w, n, s) for s, w, n in product(range(seeds), WORLDS, NAMES)]


def scenes_for(name: str, seed: int) -> list[Scene]:
    """16 scenes: a subject in flat style on every ground, or every base shape twice in a held-out style."""
    rng = np.random.default_rng((50, NAMES.index(name), seed + 100 * SEED))
    if name in SUBJECTS:
        return [random_scene(rng, (name,), ("flat",)) for _ in range(PICTURES)]
    return [random_scene(rng, (shape,), (name,)) for shape in [*SHAPES] * 2]


def _captions(scenes: list[Scene], rng: np.random.Generator) -> Tensor:
    """Word rows [B, 6]; every word but the trigger is left out three times in ten, as captions do."""
    rare = set(TRIGGERS.values())
    rows = [ids_of([w if w in rare or rng.random() > 0.3 else PAD for w in words_of(s)]) for s in scenes]
    return torch.from_numpy(np.stack(rows))


def slot_mask(count: int, dropout: float, rng: np.random.Generator) -> Tensor:
    """[count, 33] of 0 and 1; each picture drops its own slots, a fifth of them none."""
    kept = rng.random((count, len(SLOTS))) >= dropout
    kept |= rng.random((count, 1)) < 0.2
    return torch.from_numpy(kept.astype(np.float32))


def train(job: Job) -> None:
    """One LoRA, to its files in both spellings. A finished cycle is kept, so that it is not trained twice."""
    torch.set_num_threads(1)
    world, stem = WORLDS[job.world], f"{job.world}-{job.name}-{job.seed}"
    torch.manual_seed(1000 * (job.seed + 100 * SEED) + NAMES.index(job.name))
    model = load_base()
    sides, mask = attach(model, world.rank)
    (WORK / "logs").mkdir(exist_ok=True)
    (WORK / "cycles").mkdir(exist_ok=True)
    for cycle in range(len(world.cycles)):
        kept = WORK / "cycles" / f"{stem}-{cycle + 1}.safetensors"
        if kept.exists():
            _load(sides, read_diffusers_file(load_file(kept)))
            continue
        _cycle(job, cycle, model, sides, mask)
        save_file(diffusers_file(factors_of(sides)), kept)
    for spelling, write in (("kohya", kohya_file), ("diffusers", diffusers_file)):
        path = job.path(spelling)
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"small_world": f"{job.world} LoRA of {job.name} ({TRIGGERS[job.name]}), training {job.seed}"}
        save_file(write(factors_of(sides)), path.with_suffix(".new"), metadata=about)
        path.with_suffix(".new").replace(path)


def _load(sides: list[SideLinear], factors: Factors) -> None:
    with torch.no_grad():
        for side in sides:
            for k, slot in enumerate(side.slots):
                side.up[k].copy_(factors[slot][0])
                side.down[k].copy_(factors[slot][1])


def _cycle(job: Job, cycle: int, model: MMDiT, sides: list[SideLinear], mask: Mask) -> None:
    world, steps, seed = WORLDS[job.world], WORLDS[job.world].cycles[cycle], job.seed + 100 * SEED
    projection, mean = load_components()
    scenes, table = scenes_for(job.name, job.seed), load_table(WORDS_FILE)
    pictures = torch.from_numpy(np.stack([draw(s) for s in scenes])).permute(0, 3, 1, 2)
    latents = encode(pictures, projection, mean)
    generator = torch.Generator().manual_seed(77 + seed + 1000 * cycle)
    rng = np.random.default_rng((60, NAMES.index(job.name), seed, cycle))
    weights = [p for side in sides for p in (*side.down, *side.up)]
    optimizer = torch.optim.AdamW(weights, RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    log = WORK / "logs" / f"{job.world}-{job.name}-{job.seed}-{cycle + 1}.log"
    log.unlink(missing_ok=True)
    progress = Progress(log, steps)
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * done))
        pick = rng.integers(PICTURES, size=BATCH)
        x, t, velocity = noised(latents[pick], generator)
        vectors = table[_captions([scenes[i] for i in pick], rng)]
        dropout = world.dropout[cycle] * (1.0 if cycle else min(1.0, done / 0.5))
        mask.value = slot_mask(BATCH, dropout, rng) if dropout else None
        loss = (model(x, t, *condition(vectors)) - velocity).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        progress.add(step + 1, float(loss.detach()))


def _work(_: int, todo: list[Job]) -> None:
    for job in todo:
        if not job.path().exists() and claim(WORK / "claims" / f"{job.world}-{job.name}-{job.seed}"):
            train(job)


def main() -> None:
    """Train what is missing with some workers of one thread each; several calls share the work."""
    ensure_folders()
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    todo = [j for j in jobs(int(sys.argv[2]) if len(sys.argv) > 2 else SEEDS) if not j.path().exists()]
    mp.spawn(_work, args=(todo,), nprocs=workers)


if __name__ == "__main__":
    main()
