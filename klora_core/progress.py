"""Denoising progress x in [0, 1]: from what a sampler tells, without memory of earlier evaluations."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .errors import KLoraError

Callback = Callable[[float, int], None]
"""Told how far a long piece of work is: (done, of how many); ``done`` may be between two whole numbers."""

AUTO, STEPS, NOISE_LEVEL = MODES = ("auto", "steps", "noise level")

# A sampler may hand back a sigma that float arithmetic has moved a little off its schedule value.
_TOLERANCE = 1e-4
_TABLE = 1000
_END = 1e-6
# How late a run may start and still count as one from full noise: a part of its first step.
_START, _START_MOST = 0.25, 0.05
# Of a list that begins behind its schedule's first step: how late it may be for a run of all.
_LATE = 0.1
# The share of the noise schedule that a list may leave undone and still end in a picture.
_LEFT = 1 / 3


class Moment(NamedTuple):
    """A moment of a run: its progress ``x``, and the step ``step`` (from 0) of ``steps`` that it is in."""

    x: float
    step: int
    steps: int


@dataclass(frozen=True)
class Columns:
    """The moments that a table or picture shows, and whether they are a run's steps or just progress.

    ``mode`` is the way that x was counted in them, None where no run is known that it was counted in.
    """

    moments: tuple[Moment, ...]
    are_steps: bool = True
    mode: str | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.moments)


@dataclass(frozen=True)
class Scope:
    """What is known of a run beside its sigmas, for whether it is a whole one.

    ``empty``: it starts from an empty latent under its own noise, so that nothing can have gone before.
    ``before`` and ``after``: whether its sigmas were cut out of a longer list, with others in front of them
    or behind them.
    """

    empty: bool = False
    before: bool = False
    after: bool = False


NOTHING_KNOWN = Scope()


@dataclass(frozen=True)
class Progress:
    """How a run's progress is counted.

    ``steps``: the paper's count, x = (i + 1/2) / T over the steps of each run. ``noise level``: the share of
    the model's noise schedule that is done, the same in every part of a split run. ``auto``: ``steps`` where
    a run goes from the model's full noise to the end, ``noise level`` where it is a part of that.
    ``levels`` are the model's sigmas at equal steps of its noise schedule, from full noise to the end, empty
    where no model is known: what an evaluation's sigma is held against, no part of the choice itself.
    Raises KLoraError for another mode.
    """

    mode: str = AUTO
    levels: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise KLoraError(f"unknown progress {self.mode!r}.", f"Use one of {', '.join(MODES)}")

    def mode_of(self, sigmas: Sequence[float] | None, scope: Scope = NOTHING_KNOWN) -> str:
        """What ``auto`` comes to in a run with ``sigmas``, N+1 values; other modes as they are.

        Without a schedule there are no steps to count, without noise levels nothing else.
        """
        if not sigmas:
            return NOISE_LEVEL
        if self.mode == AUTO:
            return STEPS if not self.levels or self._is_whole(sigmas, scope) else NOISE_LEVEL
        return self.mode if self.levels else STEPS

    def moment(self, sigma: float, sigmas: Sequence[float] | None) -> Moment:
        """The moment of an evaluation at ``sigma`` in a run with the falling ``sigmas``, N+1 values or None.

        Raises KLoraError where there is neither a schedule nor a model's noise levels.
        """
        if not sigmas:
            return Moment(self.level(sigma), 0, 1)
        return self.in_step(step_of(sigma, sigmas), sigmas, self.mode_of(sigmas), sigma)

    def in_step(self, step: int, sigmas: Sequence[float], mode: str, sigma: float | None = None) -> Moment:
        """The moment of an evaluation in ``step`` of a run counted by ``mode``, steps or noise level.

        ``sigma`` is that of the evaluation, None the step's own.
        """
        steps = _steps(sigmas)
        if mode == STEPS:
            return Moment(step_progress(step, steps), step, steps)
        return Moment(self.level(sigmas[step] if sigma is None else sigma), step, steps)

    def level(self, sigma: float) -> float:
        """The noise level's progress: 0 at the schedule's largest sigma and above, 1 at its smallest."""
        if not self.levels:
            raise KLoraError(
                "Progress by noise level needs the model's noise levels, which are not known here.",
                "Count progress by steps",
            )
        return float(np.interp(sigma, *self._rising))

    def of_run(self, sigmas: Sequence[float], scope: Scope = NOTHING_KNOWN) -> Columns:
        """The steps of the run with ``sigmas``, N+1 values."""
        mode = self.mode_of(sigmas, scope)
        return Columns(tuple(self.in_step(i, sigmas, mode) for i in range(_steps(sigmas))), mode=mode)

    def of_steps(self, steps: int) -> Columns:
        """What is known of a run of ``steps`` steps, and of nothing else.

        The steps where they are what counts, or where a whole run is all that ``auto`` can mean; equal parts
        of the progress under ``noise level``, since no step's noise is known. Raises KLoraError for
        ``steps`` < 1.
        """
        return in_steps(steps) if self.mode != NOISE_LEVEL else over_progress(steps)

    def _is_whole(self, sigmas: Sequence[float], scope: Scope) -> bool:
        late, steps = self.level(sigmas[0]), _steps(sigmas)
        ends = sigmas[-1] <= self.levels[-1] * (1 + _TOLERANCE)
        if late <= min(_START / steps, _START_MOST) and ends:
            return True
        # From an empty latent a run makes all of its picture, at whatever noise its list begins and ends.
        # What speaks against that is a list cut out of a longer one (the samplers' start and end step,
        # denoise below 1, Split Sigmas), or one that ends while most is noise still: the rest follows
        # elsewhere. A cut by less than a step, or by little, is what `BasicScheduler` does to
        # `ddim_uniform`'s further steps at full denoise.
        starts = not scope.before or late <= max(1 / steps, _LATE)
        ends = ends or (not scope.after and self.level(sigmas[-1]) >= 1 - _LEFT)
        return scope.empty and starts and ends

    @cached_property
    def _rising(self) -> tuple[np.ndarray, np.ndarray]:
        """(sigmas, rising; their progress), float64 [levels] each."""
        sigmas = np.array(self.levels[::-1], dtype=np.float64)
        return sigmas, np.arange(len(sigmas))[::-1] / (len(sigmas) - 1)


def noise_levels(percent_to_sigma: Callable[[float], float]) -> tuple[float, ...]:
    """A model's sigmas at equal steps of its noise schedule, for :class:`Progress`."""
    # At 0 and 1 hosts answer with sentinels: the schedule's own ends lie just inside.
    inside = np.clip(np.arange(_TABLE + 1) / _TABLE, _END, 1 - _END)
    return tuple(float(percent_to_sigma(float(p))) for p in inside)


def in_steps(steps: int) -> Columns:
    """The steps of a whole run at the paper's progress, x = (i + 1/2) / T. Raises KLoraError for < 1."""
    check_steps(steps)
    return Columns(tuple(Moment(step_progress(i, steps), i, steps) for i in range(steps)))


def over_progress(columns: int) -> Columns:
    """Equal parts of the progress, each at its middle. Raises KLoraError for ``columns`` < 1."""
    return Columns(in_steps(columns).moments, are_steps=False)


def step_progress(step: int, steps: int) -> float:
    """Progress of step ``step`` of ``steps``: x = (i + 1/2) / T, one value for the whole step."""
    return (step + 0.5) / steps


def step_of(sigma: float, sigmas: Sequence[float]) -> int:
    """The step that an evaluation at ``sigma`` belongs to; ``sigmas`` are the N+1 falling schedule values.

    Evaluations between two schedule values (dpm_2, dpmpp_sde) count as the later step, and one at the next
    schedule value (heun's second) as the next step, except at the end.
    """
    bound = sigma * (1 + _TOLERANCE)
    # What lies below every step's start but the last one's is the last step's.
    return bisect_left(sigmas[:-2], -bound, key=lambda s: -s)


def check_steps(steps: int) -> None:
    """Raise KLoraError unless ``steps`` is at least 1."""
    if steps < 1:
        raise KLoraError(f"steps must be at least 1, got {steps}.")


def _steps(sigmas: Sequence[float]) -> int:
    return max(1, len(sigmas) - 1)
