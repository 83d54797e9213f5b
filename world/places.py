"""Where files lie: what is committed, and what is made and kept out of git."""

from __future__ import annotations

from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
WEIGHTS = REPO / "world" / "weights"
WORK = REPO / "build" / "world"

BASE_FILE = WEIGHTS / "small-world-sd3.safetensors"
VAE_FILE = WEIGHTS / "small-world-taesd.safetensors"
WORDS_FILE = WEIGHTS / "small-world-words.safetensors"
JUDGE_FILE = WEIGHTS / "small-world-judge.safetensors"


def ensure_folders() -> None:
    """Make the folders that files go to."""
    for folder in (WEIGHTS, WORK):
        folder.mkdir(parents=True, exist_ok=True)
