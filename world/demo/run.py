"""What the demo samples, with and without a host alike: a pair of the small world, four ways, one noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from klora_core.picture import draw
from klora_core.plan import Plan
from klora_core.progress import in_steps
from klora_core.report import text
from world.model.sampling import STEPS
from world.pairs import Pair
from world.places import WEIGHTS

# One pair that K-LoRA does well and one that it does badly, both looked at among the tuning pairs alone.
PAIRS = (Pair("skull", "neon"), Pair("octopus", "blueprint"))
WORLD = "redundant"
BALANCE = -0.25
SEED, COUNT = 7, 2
WAYS = SUBJECT, STYLE, SUM, KLORA = ("subject alone", "style alone", "plain sum", "K-LoRA")
LATENTS, PICTURES = "latents.safetensors", "pictures.safetensors"


def lora(name: str) -> Path:
    """The LoRA of the demo's world for a subject or a style."""
    return WEIGHTS / f"{WORLD}-{name}.safetensors"


def key(pair: Pair, way: str) -> str:
    """The name of a pair's latents and pictures under one way."""
    return f"{pair.name}, {way}"


@dataclass(frozen=True)
class Made:
    """Latents [COUNT, 16, 12, 12] and pictures [COUNT, 3, 96, 96] in 0..1 by key, K-LoRA's plan by pair."""

    latents: Mapping[str, Tensor]
    pictures: Mapping[str, Tensor]
    plans: Mapping[str, Plan]

    def save(self, folder: Path) -> None:
        """Latents, pictures, plan, map and report as files of ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.latents.items()}, folder / LATENTS)
        save_file({name: value.contiguous() for name, value in self.pictures.items()}, folder / PICTURES)
        # The first pair's: one is enough to read.
        plan = self.plans[PAIRS[0].name]
        (folder / "plan.json").write_text(plan.dumps(STEPS), encoding="utf-8")
        (folder / "report.txt").write_text(text(plan, in_steps(STEPS)) + "\n", encoding="utf-8")
        draw(plan, in_steps(STEPS)).save(folder / "selection-map.png")


Sample = Callable[[str], Tensor]


def make(start: Callable[[Pair], tuple[Sample, Plan]], decode: Callable[[Tensor], Tensor]) -> Made:
    """All pairs in all ways; ``start`` gives for a pair what samples it in a way, and its plan."""
    latents, plans = {}, {}
    for pair in PAIRS:
        sample, plans[pair.name] = start(pair)
        latents |= {key(pair, way): sample(way) for way in WAYS}
    return Made(latents, {name: decode(found) for name, found in latents.items()}, plans)


def write(run: Callable[[], Made], folder: Path) -> None:
    """The demo's files in ``folder``, made on one thread; FileNotFoundError where a LoRA is missing."""
    for name in (name for pair in PAIRS for name in (pair.subject, pair.style)):
        if not lora(name).is_file():
            raise FileNotFoundError(f"{lora(name).name} is missing from {WEIGHTS.name}/: run `make world`.")
    torch.set_num_threads(1)
    run().save(folder)
