"""Denoising progress x in [0, 1] from what a sampler tells, without memory of earlier evaluations."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np

from .schedules import step_progress

# A sampler may hand back a sigma that float arithmetic has moved a little off its schedule value.
_TOLERANCE = 1e-4
_TABLE = 1000
_END = 1e-6


def step_of(sigma: float, sigmas: Sequence[float]) -> int:
    """The step that an evaluation at ``sigma`` belongs to; ``sigmas`` are the N+1 falling schedule values.

    Evaluations between two schedule values (dpm_2, dpmpp_sde) count as the later step, and one at the next
    schedule value (heun's second) as the next step, except at the end.
    """
    steps = max(1, len(sigmas) - 1)
    bound = sigma * (1 + _TOLERANCE)
    return min(steps - 1, bisect_left(sigmas[:-1], -bound, key=lambda s: -s))


def by_steps(sigma: float, sigmas: Sequence[float]) -> float:
    """The paper's progress, x = (i + 1/2) / T over the steps of this run."""
    return step_progress(step_of(sigma, sigmas), max(1, len(sigmas) - 1))


class NoiseLevels:
    """Progress as the share of the noise schedule that is done: the same in every part of a split run."""

    def __init__(self, percent_to_sigma: Callable[[float], float]) -> None:
        percents = np.arange(_TABLE + 1) / _TABLE
        # At 0 and 1 hosts answer with sentinels: the schedule's own ends lie just inside.
        inside = np.clip(percents, _END, 1 - _END)
        sigmas = np.array([float(percent_to_sigma(float(p))) for p in inside])
        self._sigmas, self._percents = sigmas[::-1], percents[::-1]

    def __call__(self, sigma: float) -> float:
        """Progress at ``sigma``: 0 at the schedule's largest sigma and above, 1 at its smallest and below."""
        return float(np.interp(sigma, self._sigmas, self._percents))
