"""Clocks inside a run: how long an evaluation takes, and how much of it a method adds. Needs the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

_KEY = "bench/clock"


class Stopwatch:
    """Seconds of every evaluation. Goes on first: it is the outermost wrapper."""

    def __init__(self, model: Any, now: Callable[[], float] = time.perf_counter) -> None:
        self.times: list[float] = []
        self._now = now
        self._cuda = model.load_device.type == "cuda"
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, _KEY, self._evaluate)

    def _evaluate(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self._wait()
        start = self._now()
        try:
            return executor(*args, **kwargs)
        finally:
            self._wait()
            self.times.append(self._now() - start)

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


class Added:
    """What a method adds to its evaluations on the CPU: before the model runs, and in its layers.

    ``before`` lies between the outermost and the innermost wrapper of the model call: the progress read,
    hooks, switches, and what mixes the passes of a method that has several. ``layers`` is what the method
    computes in the layers beside their own products, by ``clocks``. Seconds, one number an evaluation;
    ``passes`` counts the runs of the model in it.
    """

    def __init__(
        self,
        model: Any,
        method: Callable[[Any], Any],
        clocks: Clocks,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``patched`` is ``method`` (patcher -> patcher) on a clone of ``model``, with clocks around it."""
        self._now = now
        self.before: list[float] = []
        self.layers: list[float] = []
        self.passes: list[int] = []
        self._clocks = clocks
        self._started = self._left = 0.0
        outer = model.clone()
        outer.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"{_KEY}/outer", self._outer)
        self.patched = method(outer).clone()
        self.patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"{_KEY}/inner", self._inner)

    def run(self, work: Callable[[Any], Any]) -> Any:
        """``work(patched)``, which is one sampler run, with clocks on what the method computes."""
        with self._clocks(self):
            return work(self.patched)

    def starts(self, *_: Any) -> None:
        """The method's work in a layer begins."""
        self._started = self._now()

    def ends(self, *_: Any) -> None:
        """It is done."""
        self.layers[-1] += self._now() - self._started

    def timed(self, function: Callable) -> Callable:
        """``function``, all of which is the method's work."""

        def clocked(*args: Any) -> Any:
            self.starts()
            result = function(*args)
            self.ends()
            return result

        return clocked

    def forget(self, evaluations: int) -> None:
        """Drop the last evaluations' numbers."""
        for numbers in (self.before, self.layers, self.passes):
            del numbers[-evaluations:]

    def _outer(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self.before.append(0.0)
        self.layers.append(0.0)
        self.passes.append(0)
        self._left = self._now()
        result = executor(*args, **kwargs)
        self.before[-1] += self._now() - self._left
        return result

    def _inner(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self.before[-1] += self._now() - self._left
        self.passes[-1] += 1
        result = executor(*args, **kwargs)
        self._left = self._now()
        return result


Clocks = Callable[[Added], AbstractContextManager[None]]
