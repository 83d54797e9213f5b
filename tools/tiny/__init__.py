"""Tiny random checkpoints and LoRAs in the real formats: the real loaders and nodes run in seconds.

`architectures` and `loras` need no host; `models` is run inside the host's interpreter.
"""

from __future__ import annotations

from pathlib import Path

from ..host import REPO

RECIPE = 2
"""Raise it whenever a model or LoRA changes: everything built by an older recipe is rebuilt."""

MODELS_DIR = REPO / "build" / "tiny" / f"recipe-{RECIPE}"
"""Laid out as a ComfyUI models folder."""


def model_path(folder: str, name: str) -> Path:
    """Path of one built file, by models subfolder and file name."""
    return MODELS_DIR / folder / name
