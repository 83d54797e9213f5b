"""A plan on a model that no host owns: hooks for the length of a run, the clock kept by the scheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .. import report
from ..apply import Attachment, Buffers, Composition, HostRules, Swap, compose, is_compiled
from ..deltas import Rows
from ..errors import KLoraError
from ..plan import Plan
from ..progress import Columns, Moment, in_steps
from .places import Layers, inner
from .schedulers import Scheduler, StepClock

_LOG = logging.getLogger("klora")
RULES = HostRules(frozenset({nn.Linear.forward, nn.Conv2d.forward}))
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class Fusion:
    """A plan on one model, such as a pipeline's unet or transformer.

    Outside ``run`` the model is as it was: its weights are never written. Not for two threads at a time.
    """

    def __init__(self, model: nn.Module, plan: Plan, rows: Rows, places: Layers) -> None:
        self.model, self.plan = model, plan
        self._composition = compose(plan, rows, places.spots)
        self._running = False
        self.columns: Columns | None = None
        """The moments of the last run, None before the first; for ``picture.draw``."""
        self.unseen: tuple[str, ...] = ()
        """The layers that a LoRA changes and that did not run in the first evaluation of the last run."""

    def report(self, steps: int | None = None) -> str:
        """The plan in words: over the last run, over ``steps`` steps where they are given, else over 30."""
        columns = self.columns if steps is None and self.columns else in_steps(steps or 30)
        said = self._unseen("in the first evaluation of the last run")
        plan = replace(self.plan, warnings=(said, *self.plan.warnings)) if said else self.plan
        return report.text(plan, columns)

    @contextmanager
    def run(self, scheduler: Scheduler) -> Iterator[Fusion]:
        """The model follows the plan inside ``with``, for any number of images.

        ``scheduler`` is the pipeline's. Everything is off again at the end, whatever ended it. Raises
        KLoraError where it is on already.
        """
        if self._running:
            raise KLoraError("this fusion is running already.", "Leave the fusion's `with` block first")
        clock, on = (
            StepClock(scheduler, self.plan.progress.mode),
            _On(self.model, self._composition, self._told),
        )
        name, plain = _door(self.model)

        def forward(model: Any, *args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():
                raise KLoraError(
                    "the model was compiled after fuse().", "Compile the model first, then fuse it"
                )
            return on.call(clock.read(_timestep(args, kwargs)), plain, args, kwargs)

        swap = Swap(self.model, forward, name)
        self._running = True
        try:
            yield self
        finally:
            # Also for KeyboardInterrupt, which is no Exception.
            swap.remove()
            on.remove()
            self._running = False
            self.columns = clock.columns if clock.moments else self.columns

    def _told(self, unseen: tuple[str, ...]) -> None:
        self.unseen = unseen
        if unseen:
            _LOG.warning("K-LoRA: %s", self._unseen("in the first evaluation of this run"))

    def _unseen(self, when: str) -> str:
        return report.unseen(self.unseen, len(self._composition.layers), when)


class _On:
    """A composition on a model from its first evaluation on; ``told`` hears which layers that left out."""

    def __init__(
        self, model: nn.Module, composition: Composition, told: Callable[[tuple[str, ...]], None]
    ) -> None:
        self._model, self._composition = model, composition
        self._attachment: Attachment | None = None
        self._told: Callable[[tuple[str, ...]], None] | None = told

    def call(self, moment: Moment, plain: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        method = self._composition.plan.method
        attachment = self._attached(_device(args, kwargs))
        weights = method.weights(moment)
        outputs: list[Any] = []

        def call(index: int) -> Any:
            output = plain(*args, **_fresh(kwargs))
            outputs.append(output)
            return output if len(weights) == 1 else _prediction(output)

        result = attachment.run(method.who(moment), weights, call)
        if self._told is not None:
            self._told(attachment.unseen)
            self._told = None
        return result if len(weights) == 1 else _with_prediction(outputs[-1], result)

    def remove(self) -> None:
        if self._attachment is not None:
            self._attachment.remove()
            self._attachment = None

    def _attached(self, device: torch.device | None) -> Attachment:
        if self._attachment is None:
            model = inner(self._model)
            buffers = Buffers(self._composition.targets, _dtype(model))
            if device is not None:
                buffers.to(device)
            self._attachment = Attachment(model, self._composition, buffers, RULES, is_compiled(self._model))
        if device is not None:
            self._attachment.move_to(device)
        return self._attachment


def _door(model: nn.Module) -> tuple[str, Callable[..., Any]]:
    """The attribute that calls of the model go through, outside of anything compiled, and what is there."""
    name = "forward" if model._compiled_call_impl is None else "_compiled_call_impl"
    return name, getattr(model, name)


def _dtype(model: nn.Module) -> torch.dtype:
    """The first of the weights' dtypes that can be computed in; quantised models name none."""
    return next((p.dtype for p in model.parameters() if p.dtype in _FLOATS), torch.float32)


def _device(args: tuple, kwargs: dict[str, Any]) -> torch.device | None:
    """Where the evaluation runs: an offloaded model is elsewhere before it begins."""
    for value in (*args, *kwargs.values()):
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(one, Tensor) and one.ndim > 1:
                return one.device
    return None


def _timestep(args: tuple, kwargs: dict[str, Any]) -> Any:
    return kwargs.get("timestep", args[1] if len(args) > 1 else None)


def _fresh(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments with lists of their own: UNets empty those of adapters' residuals."""
    return {key: list(value) if isinstance(value, list) else value for key, value in kwargs.items()}


def _prediction(output: Any) -> Tensor:
    first = output if isinstance(output, Tensor) else output[0]
    if not isinstance(first, Tensor):
        raise KLoraError(
            f"a method of several passes needs a model that predicts a tensor, not a {type(first).__name__}.",
            "Choose another method",
        )
    return first


def _with_prediction(output: Any, mixed: Tensor) -> Any:
    """The model's output of the last pass with the mixture in the place of its prediction."""
    if isinstance(output, Tensor):
        return mixed
    if isinstance(output, tuple):
        return (mixed, *output[1:])
    output[next(iter(output.keys()))] = mixed
    return output
