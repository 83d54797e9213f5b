"""Tiny random checkpoints and LoRAs in the real formats: the real loaders and nodes run in seconds.

`architectures`, `linears` and `loras` need no host; `models` is run inside the host's interpreter.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from ..host.find import REPO, Host

RECIPE = 4
"""Raise it whenever a model or LoRA changes: everything built by an older recipe is rebuilt."""

MODELS_DIR = REPO / "build" / "tiny" / f"recipe-{RECIPE}"
"""Laid out as a ComfyUI models folder."""


FILES = {
    "sd15": ("checkpoints/tiny-sd15.safetensors",),
    "sdxl": ("checkpoints/tiny-sdxl.safetensors",),
    "flux": ("diffusion_models/tiny-flux.safetensors", "vae/tiny-ae.safetensors"),
    "zimage": ("diffusion_models/tiny-zimage.safetensors", "vae/tiny-ae.safetensors"),
    "wan": (
        "diffusion_models/tiny-wan-high.safetensors",
        "diffusion_models/tiny-wan-low.safetensors",
        "vae/tiny-wan-vae.safetensors",
    ),
    "refiner": ("diffusion_models/tiny-refiner.safetensors",),
    "toy": (
        "diffusion_models/tiny-toy.safetensors",
        "vae/tiny-toy-vae.safetensors",
        "loras/tiny-subject-toy.safetensors",
        "loras/tiny-style-toy.safetensors",
    ),
}
"""What each family's models are, below MODELS_DIR."""


def missing(family: str) -> bool:
    """Whether a family's models, or its LoRA pair if it has one, are still to be built."""
    roles = () if family == "refiner" else ("subject", "style")
    pair = [f"loras/tiny-{role}-{family}.safetensors" for role in roles]
    return not all((MODELS_DIR / file).is_file() for file in [*FILES[family], *pair])


def build_with(host: Host, *families: str) -> None:
    """Build what is missing, in the host's interpreter: from any process."""
    wanted = [family for family in families if missing(family)]
    if wanted:
        subprocess.run([str(host.python), "-m", "tools.tiny", *wanted], cwd=REPO, check=True)


def model_path(folder: str, name: str) -> Path:
    """Path of one built file, by models subfolder and file name."""
    return MODELS_DIR / folder / name
