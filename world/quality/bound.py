"""The bound of every pair: its two LoRAs with columns scaled by true pictures; first training, strength 1.

    python -m world.quality.bound WORKERS      after world.quality.run; needs the drawings and no host

Seeds, noise and number of pictures are the table's; columns start from the best of its plain sums.
"""

from __future__ import annotations

import json
import sys

import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file

from ..gate.bound import learned
from ..judging.judge import Judge
from ..model.lora import added, read_diffusers_file
from ..model.sampling import first_noise, sample
from ..pairs import PAIRS
from ..places import WORK
from ..training.base import load_base
from ..training.claims import claim
from ..training.loras import Job
from .cells import PICTURES, WORLDS, Cell
from .run import trained
from .stats import Scores, harmonic

RESULTS = WORK / "bound"
SUMS = {"sum .5": 0.5, "sum .7": 0.7, "sum 1": 1.0}
CELLS = tuple(Cell(world, 1.0, 0, pair) for world in WORLDS for pair in PAIRS)


def best_sum(kept: dict[str, Scores]) -> str:
    """The row of the plain sum that scores best in a cell."""
    return max(SUMS, key=lambda name: harmonic(kept[name]))


def _work(_: int, todo: list[Cell]) -> None:
    torch.set_num_threads(1)
    judge = Judge()
    for cell in todo:
        path = RESULTS / cell.path.name
        if path.exists() or not claim(RESULTS / "claims" / cell.path.stem):
            continue
        names = (cell.pair.subject, cell.pair.style)
        loras = tuple(read_diffusers_file(load_file(Job(cell.world, n, 0).path())) for n in names)
        start = SUMS[best_sum(json.loads(cell.path.read_text()))]
        model = load_base()
        for lora in learned(load_base(), loras, cell.pair, start):
            added(model, lora, 1.0)
        latents = sample(model, cell.pair.prompt, first_noise(40 + PAIRS.index(cell.pair), PICTURES))
        path.write_text(json.dumps(judge.scores(latents, cell.pair), indent=1))
        sys.stdout.write(f"bound {cell.path.stem}\n")
        sys.stdout.flush()


def main() -> None:
    """Measure what is missing with some processes of one thread each."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    mp.spawn(_work, args=([c for c in CELLS if trained(c) and c.path.exists()],), nprocs=workers)


if __name__ == "__main__":
    main()
