"""Scores of LoRAs on the host's device, with its progress bar, and kept."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.model_management
import comfy.utils

from ..klora_core.deltas import Delta
from ..klora_core.energy import energy
from ..klora_core.score_cache import ScoreCache
from ..klora_core.scoring import Request, Score, score

# Scores outlive the node's calls by design: turning a dial must not score again. Room for sixteen pairs of
# two thousand slots.
_scores = ScoreCache(1 << 16)
_energies = ScoreCache(1 << 16)


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
