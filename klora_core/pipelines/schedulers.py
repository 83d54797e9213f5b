"""Which step of a run a scheduler is at, read off what diffusers' schedulers tell of themselves.

Nothing is put on a scheduler: its list of timesteps, its index among them where it keeps one, and else the
timestep that the model is called with say it all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

from torch import Tensor

from ..errors import KLoraError
from ..progress import AUTO, NOISE_LEVEL, STEPS, Columns, Moment, step_progress

_TRAINED = 1000


class Scheduler(Protocol):
    """What a scheduler must have; ``step_index``, ``begin_index``, ``order``, ``alphas_cumprod`` it may."""

    timesteps: Tensor


@dataclass(frozen=True)
class _Run:
    """A run: its list of ``timesteps``, the step of each (``step_of``), and the index that it began at."""

    source: Tensor
    timesteps: list[float]
    step_of: list[int]
    mode: str
    begin: int

    @property
    def steps(self) -> int:
        """All steps of the list, those before the beginning too."""
        return self.step_of[-1] + 1


class StepClock:
    """The clock of runs with one scheduler; a new list of timesteps is a new run.

    ``mode`` is the plan's way to count progress: ``steps`` is the paper's x = (i + 1/2) / T over the steps of
    the run itself; ``noise level`` is the place on the model's noise schedule where the scheduler knows it
    (``alphas_cumprod``), else on its own whole list of timesteps; ``auto`` is ``steps`` for a run from the
    list's beginning, ``noise level`` for one that begins later, such as img2img. ``moments`` are those that
    were read in the last run, each once.
    """

    def __init__(self, scheduler: Scheduler, mode: str = AUTO) -> None:
        self._scheduler, self._mode = scheduler, mode
        self._run: _Run | None = None
        self.moments: list[Moment] = []

    def read(self, timestep: Tensor | float | None) -> Moment:
        """The moment of an evaluation; ``timestep`` is what the model is called with.

        Raises KLoraError where the scheduler has no timesteps, or none of them can be told to be the present.
        """
        source = getattr(self._scheduler, "timesteps", None)
        if source is None or len(source) == 0:
            raise KLoraError(
                "the scheduler has no timesteps yet.",
                "Give run() the scheduler that the pipeline samples with",
            )
        if self._run is None or self._run.source is not source:
            self._run, self.moments = self._began(source, timestep), []
        moment = self._moment(self._run, self._index(self._run.timesteps, timestep))
        if not self.moments or self.moments[-1] != moment:
            self.moments.append(moment)
        return moment

    @property
    def columns(self) -> Columns:
        """The moments of the last run, for report and picture."""
        return Columns(tuple(self.moments), mode=None if self._run is None else self._run.mode)

    def _began(self, source: Tensor, timestep: Tensor | float | None) -> _Run:
        timesteps = [float(t) for t in source.tolist()]
        order = int(getattr(self._scheduler, "order", 1))
        begin = self._index(timesteps, timestep)
        mode = self._mode if self._mode != AUTO else NOISE_LEVEL if begin else STEPS
        return _Run(source, timesteps, _steps(timesteps, order), mode, begin)

    def _index(self, timesteps: list[float], timestep: Tensor | float | None) -> int:
        for name in ("step_index", "begin_index"):
            index = getattr(self._scheduler, name, None)
            if index is not None:
                return min(int(index), len(timesteps) - 1)
        return _nearest(timesteps, timestep)

    def _moment(self, run: _Run, index: int) -> Moment:
        first = run.step_of[run.begin]
        step, steps = run.step_of[index] - first, run.steps - first
        if run.mode == STEPS:
            return Moment(step_progress(step, steps), step, steps)
        return Moment(self._level(run, index), step, steps)

    def _level(self, run: _Run, index: int) -> float:
        alphas = getattr(self._scheduler, "alphas_cumprod", None)
        config: Any = getattr(self._scheduler, "config", {})
        if alphas is None or config.get("use_flow_sigmas"):
            return run.step_of[index] / run.steps
        return min(1.0, max(0.0, 1 - run.timesteps[index] / (len(alphas) - 1)))


def _steps(timesteps: list[float], order: int) -> list[int]:
    """The step of each timestep: a scheduler of second order has two a step, the second counts as the next;
    one that names a timestep twice (PNDM) means one step."""
    if order > 1:
        return [ceil(i / order) for i in range(len(timesteps))]
    steps = [0]
    for before, now in zip(timesteps, timesteps[1:], strict=False):
        steps.append(steps[-1] + (now != before))
    return steps


def _nearest(timesteps: list[float], timestep: Tensor | float | None) -> int:
    if timestep is None:
        raise KLoraError(
            "the model is called without a timestep, and the scheduler keeps no step.",
            "Use another scheduler",
        )
    first = timestep.flatten()[0].item() if isinstance(timestep, Tensor) else timestep
    t = float(first)
    # Flow models are called with 0 .. 1, their schedulers count to 1000.
    if isinstance(first, float) and t <= 1 < max(timesteps):
        t *= _TRAINED
    return min(range(len(timesteps)), key=lambda i: abs(timesteps[i] - t))
