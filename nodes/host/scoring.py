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

from ...klora_core.deltas import Delta, Digests
from ...klora_core.scores import Request, Score, ScoreCache, ScoreFile, energy, score

ON_DISK = "KLORA_SCORES_ON_DISK"
"""The environment variable that keeps what was worked out of LoRAs out of the user folder where it is 0."""


def kept_folder() -> Path | None:
    """The folder for what saves work after a start; None where that is not wanted."""
    if os.environ.get(ON_DISK, "").strip() == "0":
        return None
    # The host shows nobody a folder whose name begins like this.
    return Path(folder_paths.get_user_directory(), "__klora")


def _file(kind: str) -> ScoreFile | None:
    folder = kept_folder()
    if folder is None:
        return None
    device = comfy.model_management.get_torch_device().type
    return ScoreFile(folder / "scores.bin", f"{kind} {torch.__version__} {device}")


# Scores outlive the node's calls by design: turning a dial must not score again. Room for sixteen pairs of
# two thousand slots.
TOP_K = ScoreCache(1 << 16, partial(_file, "top-k"))
ENERGIES = ScoreCache(1 << 16, partial(_file, "energy"))


def scores(requests: Sequence[Request], memory: Digests | None = None) -> list[Score]:
    """The scores of ``requests``; those not kept are made, by the host's device.

    ``memory`` has the contents of deltas that rest.
    """

    def missing(left: Sequence[Request]) -> list[Score]:
        bar = comfy.utils.ProgressBar(len(left))
        return score(left, comfy.model_management.get_torch_device(), bar.update_absolute)

    return TOP_K.scores(requests, missing, memory)


def energies(deltas: Sequence[Delta], memory: Digests | None = None) -> list[float]:
    """||dW||_F^2 of each; those not kept are worked out."""
    each = ENERGIES.scores(
        [Request(delta, 0) for delta in deltas], lambda left: [Score(energy(d), 0.0) for d, _ in left], memory
    )
    return [value for value, _ in each]
