"""Trains the world's LoRAs once more, by the pack's own Train LoRA for Fusion.

    python -m world.fusable.train WORKERS [TRAININGS [NAME..]]     in the host's interpreter, after
    `world.fusable.pictures`; what is there is skipped, and what was stopped goes on

From the same 16 pictures and captions as the world's own LoRAs, by the plain ones' rank, rate and number of
steps, on all linear layers of the blocks; four pictures a step, which the node takes one after the other.
`node` has no method: what differs from it is the method.
UnZipLoRA is missing: it has no place for its prompts in a network of joint attention, which this one is.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..places import SEED
from ..training.claims import claim
from ..training.loras import NAMES, RATE, TRAININGS, WORLDS, Job
from .pictures import FOLDER
from .pictures import load as load_pictures
from .pictures import path_of as pictures_of

PICTURES = 4
"""Of a step."""
METHODS = {"node": "plain", "CoTo": "CoTo", "BeamLoRA": "BeamLoRA"}
"""Kinds of LoRAs, and what the node calls them."""
KINDS: tuple[str, ...] = (*WORLDS, *METHODS)
"""Beside them those of the world: redundant ones, by slot dropout, and plain ones."""


def path_of(kind: str, name: str, training: int) -> Path:
    """The file of a LoRA of a kind."""
    if kind in WORLDS:
        return Job(kind, name, training).path()
    return FOLDER / "loras" / f"{kind}-{name}-{training}.safetensors"


def load(kind: str, name: str, training: int) -> dict[str, Tensor]:
    """A LoRA as LORA_MODEL."""
    return load_file(path_of(kind, name, training))


def train(kind: str, pictures: Path, model: Any, seed: int, steps: int | None = None) -> dict[str, Tensor]:
    """What the node makes of a LoRA's pictures on the base; ``steps``: other than the plain LoRAs'."""
    from ..hosts.in_host import conditioning
    from ..quality.methods import pack_nodes

    plain, (latents, captions) = WORLDS["plain"], load_pictures(pictures)
    with torch.inference_mode():
        made = pack_nodes().KLoRATrainLora.execute(
            model=[model],
            latents=[{"samples": model.model.process_latent_out(latents)}],
            positive=[conditioning(text) for text in captions],
            method={
                "method": [METHODS[kind]],
                "steps": [sum(plain.cycles) if steps is None else steps],
                "rate": [RATE],
                "rank": [plain.rank],
            },
            batch=[PICTURES],
            seed=[seed],
            layers=["blocks"],
        )
    return dict(made.result[0])


def _work(_: int, todo: list[tuple[str, str, int]]) -> None:
    from ..quality.run import Measure

    model = Measure().model
    import folder_paths  # the host's, which Measure has entered

    # What is kept of a training that was stopped lies there.
    folder_paths.set_temp_directory(str(FOLDER / "temp"))
    for kind, name, training in todo:
        path = path_of(kind, name, training)
        if path.exists() or not claim(FOLDER / "claims" / f"train-{path.stem}"):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = 1000 * (training + 100 * SEED) + NAMES.index(name)
        lora = train(kind, pictures_of(name, training), model, seed)
        save_file(lora, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        sys.stdout.write(f"{path.stem}\n")
        sys.stdout.flush()


def main() -> None:
    """Train what is missing, whole tables first."""
    trainings = int(sys.argv[2]) if len(sys.argv) > 2 else TRAININGS
    only = sys.argv[3:] or NAMES
    todo = [(kind, name, i) for i, kind, name in product(range(trainings), METHODS, only)]
    mp.spawn(_work, args=(todo,), nprocs=int(sys.argv[1]))


if __name__ == "__main__":
    main()
