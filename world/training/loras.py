"""Trains subject and style LoRAs, each from 16 fixed pictures: plain ones, and redundant ones by dropout.

    python -m world.training.loras WORKERS [TRAININGS]      a queue; finished files are skipped, so it resumes

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

from klora_core import toy as words

from ..draw.concepts import SUBJECTS
from ..draw.drawings import names
from ..draw.styles import HELD_OUT_STYLES
from ..draw.views import View, picture, random_view
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
from ..pairs import TRIGGERS
from ..places import SEED, WEIGHTS, WORK, ensure_folders
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
TRAININGS = 3
COMMITTED: dict[str, tuple[str, ...]] = {"redundant": NAMES, "plain": ("owl", "skull", "neon", "mosaic")}
"""Whose first training's diffusers files are in the repository: 24 MB hold no more."""


@dataclass(frozen=True)
class Job:
    """One LoRA to train."""

    world: str
    name: str
    training: int

    @property
    def title(self) -> str:
        """For tables: the first training has no number."""
        return " ".join([self.world, self.name, *([str(self.training)] if self.training else [])])

    def path(self, spelling: str = "diffusers") -> Path:
        """Where its file lies."""
        committed = self.training == 0 and spelling == "diffusers" and self.name in COMMITTED[self.world]
        folder = WEIGHTS if committed else WORK / "loras" / spelling
        return folder / f"{self.title.replace(' ', '-')}.safetensors"


def jobs(trainings: int = TRAININGS) -> list[Job]:
    """All trainings, whole tables first: every LoRA of both worlds before the next training."""
    return [Job(w, n, s) for s, w, n in product(range(trainings), WORLDS, NAMES)]


def shown(name: str, training: int) -> list[tuple[str, str, View]]:
    """Concept, style and view of 16 pictures: a subject in flat style, or 16 concepts in a held-out one."""
    rng = np.random.default_rng((50, NAMES.index(name), training + 100 * SEED))
    if name in SUBJECTS:
        return [(name, "flat", random_view(rng)) for _ in range(PICTURES)]
    return [(str(c), name, random_view(rng)) for c in rng.choice(names(), PICTURES, replace=False)]


def caption(concept: str, style: str) -> list[str]:
    """The words of a picture, with the trigger in place of what the LoRA teaches."""
    return words.caption(TRIGGERS.get(style, style), TRIGGERS.get(concept, concept)).split()


def _captions(pictures: list[tuple[str, str, View]], rng: np.random.Generator) -> Tensor:
    """Word rows [B, 6, 128]; every word but the trigger is left out three times in ten, as captions do."""
    rare = set(TRIGGERS.values())
    rows = [
        [w if w in rare or rng.random() > 0.3 else words.PAD for w in caption(concept, style)]
        for concept, style, _ in pictures
    ]
    return torch.stack([words.vectors(" ".join(row)) for row in rows])


def slot_mask(count: int, dropout: float, rng: np.random.Generator) -> Tensor:
    """[count, 33] of 0 and 1; each picture drops its own slots, a fifth of them none."""
    kept = rng.random((count, len(SLOTS))) >= dropout
    kept |= rng.random((count, 1)) < 0.2
    return torch.from_numpy(kept.astype(np.float32))


def train(job: Job) -> None:
    """One LoRA, to its files in both spellings. A finished cycle is kept, so that it is not trained twice."""
    torch.set_num_threads(1)
    world, stem = WORLDS[job.world], f"{job.world}-{job.name}-{job.training}"
    torch.manual_seed(1000 * (job.training + 100 * SEED) + NAMES.index(job.name))
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
        about = {
            "small_world": f"{job.world} LoRA of {job.name} ({TRIGGERS[job.name]}), training {job.training}"
        }
        save_file(write(factors_of(sides)), path.with_suffix(".new"), metadata=about)
        path.with_suffix(".new").replace(path)


def _load(sides: list[SideLinear], factors: Factors) -> None:
    with torch.no_grad():
        for side in sides:
            for k, slot in enumerate(side.slots):
                side.up[k].copy_(factors[slot][0])
                side.down[k].copy_(factors[slot][1])


def _cycle(job: Job, cycle: int, model: MMDiT, sides: list[SideLinear], mask: Mask) -> None:
    world, steps, seed = WORLDS[job.world], WORLDS[job.world].cycles[cycle], job.training + 100 * SEED
    pictures = shown(job.name, job.training)
    latents = encode(torch.stack([picture(*p) for p in pictures]), *load_components())
    generator = torch.Generator().manual_seed(77 + seed + 1000 * cycle)
    rng = np.random.default_rng((60, NAMES.index(job.name), seed, cycle))
    weights = [p for side in sides for p in (*side.down, *side.up)]
    optimizer = torch.optim.AdamW(weights, RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    log = WORK / "logs" / f"{job.world}-{job.name}-{job.training}-{cycle + 1}.log"
    log.unlink(missing_ok=True)
    progress = Progress(log, steps)
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * done))
        pick = rng.integers(PICTURES, size=BATCH)
        x, t, velocity = noised(latents[pick], generator)
        rows = _captions([pictures[i] for i in pick], rng)
        dropout = world.dropout[cycle] * (1.0 if cycle else min(1.0, done / 0.5))
        mask.value = slot_mask(BATCH, dropout, rng) if dropout else None
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x, t, *words.condition(rows))
        loss = (out.float() - velocity).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        progress.add(step + 1, float(loss.detach()))


def _work(_: int, todo: list[Job]) -> None:
    for job in todo:
        if not job.path().exists() and claim(WORK / "claims" / f"{job.world}-{job.name}-{job.training}"):
            train(job)


def main() -> None:
    """Train what is missing with some workers of one thread each; several calls share the work."""
    ensure_folders()
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    only = sys.argv[3:] or NAMES
    todo = [j for j in jobs(int(sys.argv[2]) if len(sys.argv) > 2 else TRAININGS) if j.name in only]
    mp.spawn(_work, args=([j for j in todo if not j.path().exists()],), nprocs=workers)


if __name__ == "__main__":
    main()
