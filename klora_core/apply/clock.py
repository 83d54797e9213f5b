"""Which moment of a run an evaluation is at; reads the device once per evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..progress import NOTHING_KNOWN, Columns, Moment, Progress, Scope, step_of

# Noise that is the schedule's own, and noise between two of its values: float arithmetic moves both a little.
_SAME, _NEAR = 1e-6, 1e-4


@dataclass(frozen=True)
class Run:
    """A sampler run as it was asked for: its ``sigmas``, N+1 values, None where it has none; what else is
    known of it; and whether its sampler reports the steps of these sigmas, as it finishes their evaluation.
    """

    sigmas: Sequence[float] | None = None
    scope: Scope = NOTHING_KNOWN
    reports: bool = False


UNKNOWN = Run()


class Clock:
    """The clock of one run.

    ``levels`` gives the noise levels of the model that runs (see ``Progress``), asked once; ``started`` is
    told what ``auto`` came to, and the run's columns, once its schedule is known. It is made during the
    run's first evaluation.
    """

    def __init__(
        self,
        progress: Progress,
        levels: Callable[[], tuple[float, ...]],
        started: Callable[[str, Columns], None] = lambda mode, columns: None,
        run: Run = UNKNOWN,
    ) -> None:
        self._progress = replace(progress, levels=levels())
        self._started = started
        self._run = run
        self._schedule: tuple[Tensor, list[float]] | None = None
        self._mode = ""
        self._steps: Steps | None = None
        self._sigma: Tensor | None = None
        self._moment = Moment(0.0, 0, 1)

    def tick(self) -> None:
        """A new evaluation begins."""
        self._sigma = None
        if self._steps is not None:
            self._steps.tick()

    def report(self, index: int) -> None:
        """The sampler reports its step ``index``."""
        if self._steps is not None:
            self._steps.report(index)

    def read(self, sigma: Tensor, schedule: Tensor | None) -> Moment:
        """The moment of the evaluation at ``sigma`` [batch] in the run with ``schedule`` [steps + 1]."""
        # Cond and uncond share the tensor; an extra call at another noise level brings its own.
        if sigma is not self._sigma:
            self._sigma = sigma
            self._moment = self._at(float(sigma.flatten()[0]), self.sigmas_of(schedule))
        return self._moment

    def _at(self, sigma: float, sigmas: list[float] | None) -> Moment:
        if not sigmas:
            return self._progress.moment(sigma, None)
        if self._steps is None:
            return self._progress.in_step(step_of(sigma, sigmas), sigmas, self._mode, sigma)
        step, own = self._steps.of(sigma)
        # Where the model is told another noise than the latent has, the step's is the latent's.
        return self._progress.in_step(step, sigmas, self._mode, sigma if own else None)

    def sigmas_of(self, schedule: Tensor | None) -> list[float] | None:
        """The schedule's values, which begin a run where they are new; asked once an evaluation."""
        if schedule is None:
            return None
        if self._schedule is None or self._schedule[0] is not schedule:
            self._begin(schedule)
        return None if self._schedule is None else self._schedule[1]

    def _begin(self, schedule: Tensor) -> None:
        sigmas, before = schedule.tolist(), self._schedule
        asked = [*(self._run.sigmas or ())]
        # uni_pc writes into the end of its schedule.
        its_own = bool(asked) and asked[:-1] == sigmas[:-1]
        sigmas = asked if its_own else sigmas
        self._schedule = schedule, sigmas
        # A wrapper may hand on a copy.
        if not sigmas or (before is not None and before[1] == sigmas):
            return
        scope = self._run.scope if its_own else NOTHING_KNOWN
        self._mode = self._progress.mode_of(sigmas, scope)
        # What is reported are steps of what was asked for, from its beginning.
        counts = its_own and self._run.reports and before is None and len(sigmas) > 1
        self._steps = Steps(sigmas) if counts else None
        self._started(self._mode, self._progress.of_run(sigmas, scope))


class Steps:
    """The step of each evaluation of a run, by what its sampler reports; ``sigmas`` are N+1 values, N > 0.

    Samplers report a step when its first evaluation is done, so that the next one is of the step behind it,
    whatever noise the model is told: some are made to tell it another than the latent has. Further
    evaluations of a step are where its noise is: between two schedule values (dpm_2, dpmpp_sde) or at the
    next (heun) they count as the next step's, at the same (sa_solver_pece) as the same step's. A sampler that
    reports in another way is believed in nothing: then noise alone tells the step, as where none reports.
    """

    def __init__(self, sigmas: Sequence[float]) -> None:
        self._sigmas = sigmas
        self._steps = len(sigmas) - 1
        self._trusted = True
        self._index: int | None = None
        # The step that was reported last, and the evaluations since then.
        self._done, self._since = -1, 1
        self._now, self._exact = 0, False
        # Whether the evaluation that was reported was at its step's noise: others can be known by theirs.
        self._honest = False
        self._first: float | None = None

    def tick(self) -> None:
        """A new evaluation begins."""
        self._since += 1
        self._first = None

    def report(self, index: int) -> None:
        """The sampler reports its own index, which may begin at any number."""
        before = self._index
        if before is None:
            self._trusted &= self._since == 1
            before = index - 1
        self._trusted &= index > before and self._since > 0
        self._done = max(self._now, self._done + index - before)
        self._trusted &= self._done < self._steps
        self._index, self._since, self._honest = index, 0, self._exact

    def of(self, sigma: float) -> tuple[int, bool]:
        """The step of an evaluation at ``sigma``, and whether that noise is the step's own."""
        if self._first is None:
            self._first = sigma
        # A call to the side at another noise, a pass at none that fills a cache, evaluations before the first
        # report: nothing tells their step but their noise.
        aside = sigma != self._first or sigma <= 0 or (self._index is None and self._since > 1)
        if aside or not self._trusted:
            return step_of(sigma, self._sigmas), True
        step, own = self._place(sigma)
        self._now, self._exact = step, _close(sigma, self._sigmas[step], _SAME)
        return step, own

    def _place(self, sigma: float) -> tuple[int, bool]:
        done, schedule = self._done, self._sigmas
        step = min(done + 1, self._steps - 1)
        if _close(sigma, schedule[step], _SAME):
            return step, True
        if done < 0:
            return step, sigma >= schedule[step] * (1 - _NEAR)
        for other in (done, *self._further(done)) if self._honest else ():
            if _close(sigma, schedule[other], _SAME):
                return other, True
        low, high = sorted(schedule[done : done + 2])
        return step, low * (1 - _NEAR) <= sigma <= high * (1 + _NEAR)

    def _further(self, done: int) -> list[int]:
        """The steps behind the next one that an evaluation may be in: one a further evaluation (heunpp2), or
        where a list goes up again, the start of what is done once more.
        """
        last = self._steps - 1
        further = [step for step in range(done + 2, done + self._since + 1) if step <= last]
        jump = done + 2
        if jump <= last and self._sigmas[jump] > self._sigmas[jump - 1]:
            further.append(jump)
        return further


def _close(one: float, other: float, tolerance: float) -> bool:
    return abs(one - other) <= tolerance * other
