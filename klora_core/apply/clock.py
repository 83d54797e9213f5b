"""Which moment of a run an evaluation is at; reads the device once per evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from ..progress import Columns, Moment, Progress


class Clock:
    """The clock of one run.

    ``levels`` gives the noise levels of the model that runs (see ``Progress``), asked once; ``started`` is
    told what ``auto`` came to, and the run's columns, once its schedule is known.
    """

    def __init__(
        self,
        progress: Progress,
        levels: Callable[[], tuple[float, ...]],
        started: Callable[[str, Columns], None] = lambda mode, columns: None,
    ) -> None:
        self._progress = replace(progress, levels=levels())
        self._started = started
        self._schedule: tuple[Tensor, list[float]] | None = None
        self._sigma: Tensor | None = None
        self._moment = Moment(0.0, 0, 1)

    def tick(self) -> None:
        """A new evaluation begins."""
        self._sigma = None

    def read(self, sigma: Tensor, schedule: Tensor | None) -> Moment:
        """The moment of the evaluation at ``sigma`` [batch] in the run with ``schedule`` [steps + 1]."""
        # Cond and uncond share the tensor; an extra call at another noise level brings its own.
        if sigma is not self._sigma:
            self._sigma = sigma
            self._moment = self._progress.moment(float(sigma.flatten()[0]), self._sigmas(schedule))
        return self._moment

    def _sigmas(self, schedule: Tensor | None) -> list[float] | None:
        if schedule is None:
            return None
        if self._schedule is None or self._schedule[0] is not schedule:
            sigmas = schedule.tolist()
            self._schedule = schedule, sigmas
            self._started(self._progress.mode_of(sigmas), self._progress.of_run(sigmas))
        return self._schedule[1]
