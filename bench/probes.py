"""Clocks inside a run: how long an evaluation takes, and how much of it a method adds. Needs the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

_KEY = "bench/clock"


class Stopwatch:
    """Seconds of every model evaluation of a run. Goes on first: it is the outermost wrapper."""

    def __init__(self, model: Any) -> None:
        self.seconds: list[float] = []
        self._cuda = model.load_device.type == "cuda"
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, _KEY, self._evaluate)

    def _evaluate(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        start = self._now()
        try:
            return executor(*args, **kwargs)
        finally:
            self.seconds.append(self._now() - start)

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


class Added:
    """What a method adds to an evaluation, on the CPU: before the model runs, and in its layers.

    ``before`` seconds lie between the outermost and the innermost wrapper of the model call: the progress
    read, hooks, switches. ``layers`` seconds lie between two hooks on each layer, one before the method's
    hook and one after it. Each list has one number an evaluation.
    """

    def __init__(self, layers: list[str]) -> None:
        self.before: list[float] = []
        self.layers: list[float] = []
        self._names = layers
        self._started = 0.0
        self._handles: list[Any] = []

    def around(self, model: Any, method: Callable[[Any], Any]) -> Any:
        """``method`` (patcher -> patcher) on a clone of ``model``, with the clocks around it."""
        outer = model.clone()
        outer.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"{_KEY}/outer", self._outer)
        inner = method(outer).clone()
        inner.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"{_KEY}/inner", self._inner)
        return inner

    def put_on(self, patcher: Any) -> None:
        """The first of each layer's two hooks: before the run, so that it comes before the method's."""
        modules = [patcher.model.diffusion_model.get_submodule(name) for name in self._names]
        self._handles += [module.register_forward_hook(self._layer_starts) for module in modules]

    def take_off(self) -> None:
        """Take all of this clock's hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _outer(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self._started = time.perf_counter()
        return executor(*args, **kwargs)

    def _inner(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        self.before.append(time.perf_counter() - self._started)
        self.layers.append(0.0)
        if len(self.layers) == 1:
            model = executor.class_obj.diffusion_model
            modules = [model.get_submodule(name) for name in self._names]
            self._handles += [module.register_forward_hook(self._layer_ends) for module in modules]
        return executor(*args, **kwargs)

    def _layer_starts(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def _layer_ends(self, *_: Any) -> None:
        self.layers[-1] += time.perf_counter() - self._started
