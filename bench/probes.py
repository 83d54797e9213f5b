"""Clocks inside a run: how long an evaluation takes, and how much of it a method adds. Needs the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

_KEY = "bench/clock"


class Stopwatch:
    """Seconds of every evaluation. Goes on first: it is the outermost wrapper."""

    def __init__(self, model: Any) -> None:
        self.times: list[float] = []
        self._cuda = model.load_device.type == "cuda"
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, _KEY, self._evaluate)

    def _evaluate(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self._wait()
        start = time.perf_counter()
        try:
            return executor(*args, **kwargs)
        finally:
            self._wait()
            self.times.append(time.perf_counter() - start)

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


class Added:
    """What a method adds to its evaluations on the CPU: before the model runs, and in its layers.

    ``before`` lies between the outermost and the innermost wrapper of the model call: the progress read,
    hooks, switches. ``layers`` lies between two hooks on each layer, one before the method's hook and one
    after it; in core's bypass, which has no hooks, around its own term and the sum with the base. Seconds,
    one number an evaluation.
    """

    def __init__(self, layers: list[str], model: Any, method: Callable[[Any], Any]) -> None:
        """``patched`` is ``method`` (patcher -> patcher) on a clone of ``model``, with clocks around it."""
        self.before: list[float] = []
        self.layers: list[float] = []
        self._names = layers
        self._started = 0.0
        self._handles: list[Any] = []
        outer = model.clone()
        outer.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"{_KEY}/outer", self._outer)
        self.patched = method(outer).clone()
        self.patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"{_KEY}/inner", self._inner)

    def run(self, work: Callable[[Any], Any]) -> Any:
        """``work(patched)``, which is one sampler run, with clocks on the layers."""
        self._hook(self.patched.model, self._layer_starts)
        try:
            return work(self.patched)
        finally:
            for handle in self._handles:
                handle.remove()
            self._handles.clear()

    def forget(self, evaluations: int) -> None:
        """Drop the last evaluations' numbers."""
        del self.before[-evaluations:], self.layers[-evaluations:]

    def _hook(self, model: Any, hook: Callable) -> None:
        for name in self._names:
            module = model.diffusion_model.get_submodule(name)
            self._handles.append(module.register_forward_hook(hook))

    def _clock_bypass(self, model: Any) -> None:
        """y = g(f(x) + h(x, f(x))): from the entry of h to that of g."""
        for name in self._names:
            forward = model.diffusion_model.get_submodule(name).__dict__.get("forward")
            adapter = getattr(getattr(forward, "__self__", None), "adapter", None)
            if adapter is not None and "h" not in vars(adapter):
                adapter.h = _after(self._layer_starts, adapter.h)
                adapter.g = _after(self._layer_ends, adapter.g)

    def _outer(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self._started = time.perf_counter()
        return executor(*args, **kwargs)

    def _inner(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self.before.append(time.perf_counter() - self._started)
        self.layers.append(0.0)
        if len(self._handles) == len(self._names):
            # The method's own hooks are on by now: these come after them.
            self._hook(executor.class_obj, self._layer_ends)
            self._clock_bypass(executor.class_obj)
        return executor(*args, **kwargs)

    def _layer_starts(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def _layer_ends(self, *_: Any) -> None:
        self.layers[-1] += time.perf_counter() - self._started


def _after(first: Callable, then: Callable) -> Callable:
    def both(*args: Any) -> Any:
        first()
        return then(*args)

    return both
