"""Do LoRAs that are trained for fusion fuse better? In the host's interpreter, after `world.fusable.train`.

    python -m world.fusable.run WORKERS [TRAININGS]      what is measured already is skipped

The protocol, written down before the first run.

KINDS. Redundant LoRAs (slot dropout) and plain ones of the world; those of the node: without a method, CoTo,
BeamLoRA.
ALONE. A LoRA at strength 1 on the gate's prompts for it, 16 pictures: its own score. The same with a random
half of its modules, eight draws of 4 pictures: the share that is kept.
FUSED. All pairs, 4 pictures, strength 1, noises of bench/QUALITY.md: sums at .5, .7 and 1, K-LoRA s and s*,
TIES, as there.
GOAL. A method's LoRAs fuse better by a row where its joint score is ahead of that of the node's own plain
LoRAs by two standard errors over pairs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
from torch import Tensor

from ..draw.concepts import SUBJECTS
from ..pairs import PAIRS, Pair
from ..training.claims import claim
from ..training.loras import NAMES, TRAININGS
from .train import FOLDER, KINDS, load, path_of

ROWS = ("sum .5", "sum .7", "sum 1", "K-LoRA s", "K-LoRA s*", "TIES")


def half_of(lora: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    """A random half of a LoRA's modules, each whole."""
    modules = sorted({_module(key) for key in lora})
    kept = set(rng.choice(modules, len(modules) // 2, replace=False).tolist())
    return {key: tensor for key, tensor in lora.items() if _module(key) in kept}


def _module(key: str) -> str:
    """What both factors and the alpha of a module begin with, in every spelling."""
    return key.removesuffix(".alpha").partition(".lora_")[0]


def alone(measure: Any, kind: str, name: str, training: int) -> dict[str, float]:
    """A LoRA's own score, and the share of it that a random half of its modules keeps."""
    from ..gate.gate import DRAWS, FULL, HALF, own_prompts
    from ..hosts.in_host import comfy, conditioning, sample

    def own(lora: dict[str, Tensor], count: int, seed: int) -> float:
        model = comfy.sd.load_lora_for_models(measure.model, None, lora, 1.0, 0)[0]
        prompts = own_prompts(name)
        size = count if len(prompts) == 1 else 1
        made = [
            sample(model, conditioning(prompts[i % len(prompts)]), measure.negative, seed + i, size)
            for i in range(0, count, size)
        ]
        score = measure.judge.subject if name in SUBJECTS else measure.judge.style
        return float(score(measure.judge.pictures(torch.cat(made)), name).mean())

    lora, rng = load(kind, name, training), np.random.default_rng(11)
    full = own(lora, FULL, 500)
    half = float(np.mean([own(half_of(lora, rng), HALF, 600 + 100 * i) for i in range(DRAWS)]))
    return {"own": full, "kept": half / max(full, 1e-9)}


def fused(measure: Any, kind: str, pair: Pair, training: int) -> dict[str, dict[str, list[float]]]:
    """The scores of each row's pictures."""
    from ..quality.methods import ROWS as ALL
    from ..quality.methods import Case

    @dataclass(frozen=True)
    class Of(Case):
        @cached_property
        def loras(self) -> tuple[dict, dict]:
            return load(kind, pair.subject, training), load(kind, pair.style, training)

    case = Of(measure.model, kind, pair, training, 1.0)
    return {row.name: measure.scores(measure.row(row.make, case), pair) for row in ALL if row.name in ROWS}


def kept_at(kind: str, what: str, training: int, folder: Path = FOLDER) -> Path:
    """Where the numbers of a LoRA, or of a pair, lie."""
    return folder / f"{kind}-{what}-{training}.json"


def todo(trainings: int) -> Iterator[tuple[Path, Callable[[Any], dict]]]:
    """All that can be measured, and how, whole tables first."""
    for training, kind in product(range(trainings), KINDS):
        there = [name for name in NAMES if path_of(kind, name, training).exists()]
        for name in there:
            yield kept_at(kind, name, training), partial(alone, kind=kind, name=name, training=training)
        for pair in PAIRS:
            if {pair.subject, pair.style} <= set(there):
                how = partial(fused, kind=kind, pair=pair, training=training)
                yield kept_at(kind, pair.name, training), how


def _work(_: int, trainings: int) -> None:
    from ..quality.run import Measure

    measure = Measure()
    for path, how in todo(trainings):
        if not path.exists() and claim(FOLDER / "claims" / path.stem):
            path.write_text(json.dumps(how(measure), indent=1))
            sys.stdout.write(f"{path.stem}\n")
            sys.stdout.flush()


def main() -> None:
    """Measure what is missing with some processes of one thread each."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    trainings = int(sys.argv[2]) if len(sys.argv) > 2 else TRAININGS
    mp.spawn(_work, args=(trainings,), nprocs=int(sys.argv[1]))


if __name__ == "__main__":
    main()
