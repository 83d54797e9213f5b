"""Scores of LoRAs on the host's device, with its progress bar, and kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
import torch

from ...klora_core.deltas import Delta
from ...klora_core.scores import Request, Score, ScoreCache, ScoreFile, energy, score

ON_DISK = "KLORA_SCORES_ON_DISK"
"""The environment variable that keeps scores out of the user folder where it is 0."""


def _file(kind: str) -> ScoreFile | None:
    if os.environ.get(ON_DISK, "").strip() == "0":
        return None
    # The host shows nobody a folder whose name begins like this.
    path = Path(folder_paths.get_user_directory(), "__klora", "scores.bin")
    device = comfy.model_management.get_torch_device().type
    return ScoreFile(path, f"{kind} {torch.__version__} {device}")


# Scores outlive the node's calls by design: turning a dial must not score again. Room for sixteen pairs of
# two thousand slots.
_scores = ScoreCache(1 << 16, partial(_file, "top-k"))
_energies = ScoreCache(1 << 16, partial(_file, "energy"))


def scores(requests: Sequence[Request]) -> list[Score]:
    """The scores of ``requests``; those not known yet are made, by the host's device."""

    def missing(left: Sequence[tuple[Delta, int]]) -> list[Score]:
        bar = comfy.utils.ProgressBar(len(left))
        device = comfy.model_management.get_torch_device()
        return score([Request(*each) for each in left], device, bar.update_absolute)

    return [Score(*found) for found in _scores.scores(requests, missing)]


def energies(deltas: Sequence[Delta]) -> list[float]:
    """||dW||_F^2 of each; those not known yet are worked out."""
    found = _energies.scores(
        [(delta, 0) for delta in deltas], lambda left: [(energy(d), 0.0) for d, _ in left]
    )
    return [value for value, _ in found]
