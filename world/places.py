"""Where files lie: what is committed, and what is made and kept out of git.

WORLD_ROOT names another folder for both, so that a world can be trained from nothing beside the committed
one; WORLD_SEED, a number, makes it another world (other pictures, other starts).
"""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
# Absolute: processes meet at a file here, by its URL.
_ROOT = os.environ.get("WORLD_ROOT") and os.path.abspath(os.environ["WORLD_ROOT"])
WEIGHTS = Path(_ROOT) / "weights" if _ROOT else REPO / "world" / "weights"
WORK = Path(_ROOT) if _ROOT else REPO / "build" / "world"
SEED = int(os.environ.get("WORLD_SEED", "0"))

BASE_FILE = WEIGHTS / "small-world-sd3.safetensors"
VAE_FILE = WEIGHTS / "small-world-taesd.safetensors"
JUDGE_FILE = WEIGHTS / "small-world-judge.safetensors"
BANK_FILE = WEIGHTS / "small-world-judge-bank.safetensors"
COMPONENTS_FILE = WEIGHTS / "small-world-components.safetensors"


def ensure_folders() -> None:
    """Make the folders that files go to."""
    for folder in (WEIGHTS, WORK):
        folder.mkdir(parents=True, exist_ok=True)
