"""The pictures that the LoRAs are trained on, as latents with their captions: a ComfyUI can't draw them.

python -m world.fusable.pictures [TRAININGS]
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..draw.views import picture
from ..model.fit_vae import load_components
from ..model.latents import encode
from ..places import WORK
from ..training.loras import NAMES, TRAININGS, caption, shown

FOLDER = WORK / "fusable"


def path_of(name: str, training: int) -> Path:
    """Their file."""
    return FOLDER / "pictures" / f"{name}-{training}.safetensors"


def load(path: Path) -> tuple[Tensor, list[str]]:
    """Latents [16, 16, 12, 12] as the model sees them, and captions."""
    with safe_open(path, "pt") as file:
        return file.get_tensor("latents"), json.loads(file.metadata()["captions"])


def save(path: Path, name: str, training: int) -> None:
    """Draw them, encode them, write them."""
    pictures = shown(name, training)
    latents = encode(torch.stack([picture(*each) for each in pictures]), *load_components())
    captions = [" ".join(caption(concept, style)) for concept, style, _ in pictures]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"latents": latents.contiguous()}, path, {"captions": json.dumps(captions)})


def main() -> None:
    """Those of all LoRAs."""
    trainings = int(sys.argv[1]) if len(sys.argv) > 1 else TRAININGS
    for training, name in product(range(trainings), NAMES):
        save(path_of(name, training), name, training)


if __name__ == "__main__":
    main()
