"""A plan applied to a MODEL: forward hooks on the host's own modules, for the length of a run.

Base weights are never touched, so quantised, offloaded and dynamically loaded layers work alike. Hooks
are put on the modules that an evaluation really runs, when it runs, and taken off at the end of the run:
clones, delegates and copies on other devices need no care, and nothing can be left behind.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from comfy.patcher_extension import WrappersMP

from ..klora_core.apply import Buffers, Target, attach_all
from ..klora_core.plan import SUBJECT
from ..klora_core.progress import NoiseLevels, by_steps
from ..klora_core.switches import Switches
from .host_rules import RULES

PROGRESS_MODES = ("steps", "noise level")


class SidePath:
    """One K-LoRA plan on a model. ``lanes`` are the plan's slots in its order, then the constant ones."""

    def __init__(
        self, switches: Switches, lanes: tuple[Target, ...], competing: int, progress: str, dtype: torch.dtype
    ) -> None:
        self.key = f"klora/{uuid.uuid4().hex}"
        self._switches = switches
        self._lanes = lanes
        self._competing = competing
        self._progress = progress
        self._dtype = dtype
        self._attached: dict[int, _Attachment] = {}
        self._clock: _Clock | None = None

    def apply(self, model: Any) -> None:
        """Patch ``model``, a ModelPatcher that the caller owns."""
        model.set_additional_models(
            self.key, [self._factors_patcher(model.load_device, model.offload_device)]
        )
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, self.key, self._run)
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, self.key, self._evaluate)
        model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, self.key, self._apply_model)

    def _factors_patcher(self, load_device: Any, offload_device: Any, **_: Any) -> Any:
        patcher = comfy.model_patcher.ModelPatcher(
            Buffers(self._lanes, self._dtype), load_device=load_device, offload_device=offload_device
        )
        # The host copies additional models to further devices through their factory.
        patcher.cached_patcher_init = (self._factors_patcher, (load_device, offload_device))
        return patcher

    def _run(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        try:
            return executor(*args, **kwargs)
        finally:
            # Also for InterruptProcessingException, which is no Exception.
            for attachment in self._attached.values():
                attachment.remove()
            self._attached.clear()
            self._clock = None

    def _evaluate(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        if self._clock is not None:
            self._clock.tick()
        return executor(*args, **kwargs)

    def _apply_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        options = kwargs["transformer_options"] if "transformer_options" in kwargs else args[5]
        model, x = executor.class_obj, args[0]
        attachment = self._attached.get(id(model))
        if attachment is None:
            factors = self._factors_of(model, x.device)
            attachment = self._attached[id(model)] = _Attachment(model, factors, options)
        if self._clock is None:
            self._clock = _Clock(self._progress, model.model_sampling)
        attachment.move_to(x.device)
        attachment.show(self._switches, self._clock.read(options), self._competing)
        attachment.open = True
        try:
            return executor(*args, **kwargs)
        finally:
            attachment.open = False

    def _factors_of(self, model: Any, device: torch.device) -> Buffers:
        patcher = model.current_patcher
        found = [] if patcher is None else patcher.get_additional_models_with_key(self.key)
        return found[0].model if found else Buffers(self._lanes, self._dtype).to(device)


class _Clock:
    """Progress of one run; reads the device once per evaluation."""

    def __init__(self, mode: str, model_sampling: Any) -> None:
        self._mode = mode
        self._model_sampling = model_sampling
        self._levels: NoiseLevels | None = None
        self._schedule: tuple[Any, list[float]] | None = None
        self._sigmas: Any = None
        self._x = 0.0

    def tick(self) -> None:
        """A new evaluation begins."""
        self._sigmas = None

    def read(self, options: dict[str, Any]) -> float:
        """Progress in [0, 1] of the evaluation that ``transformer_options`` belong to."""
        # Cond and uncond share the tensor; an extra call at another noise level brings its own.
        if options["sigmas"] is not self._sigmas:
            self._sigmas = options["sigmas"]
            sigma = float(self._sigmas.flatten()[0])
            schedule = options.get("sample_sigmas")
            if self._mode == "steps" and schedule is not None:
                if self._schedule is None or self._schedule[0] is not schedule:
                    self._schedule = schedule, schedule.tolist()
                self._x = by_steps(sigma, self._schedule[1])
            else:
                if self._levels is None:
                    self._levels = NoiseLevels(self._model_sampling.percent_to_sigma)
                self._x = self._levels(sigma)
        return self._x


class _Attachment:
    """The hooks of a side path on one model object, and the gate that opens them."""

    def __init__(self, model: Any, factors: Buffers, options: dict[str, Any]) -> None:
        self.open = False
        self._factors = factors
        self._position: int | None = None
        self._attached = attach_all(model, factors, self, RULES, _is_compiled(model, options))

    def show(self, switches: Switches, x: float, competing: int) -> None:
        """Bring the buffers to progress ``x``; touches the slots that flip."""
        position = switches.position(x)
        if position == self._position:
            return
        if self._position is None:
            for lane in range(competing, len(self._factors.targets)):
                self._factors.show(lane, SUBJECT)
        previous, self._position = self._position, None
        for lane, winner in switches.changes(previous, position):
            self._factors.show(lane, winner)
        self._position = position

    def move_to(self, device: torch.device) -> None:
        """Hold the buffers where the evaluation runs, also when the host left them elsewhere."""
        if self._factors.where != device:
            self._factors.to(device)

    def remove(self) -> None:
        """Take every hook off."""
        self._attached.close()


def _is_compiled(model: Any, options: dict[str, Any]) -> bool:
    """Whether torch.compile runs the model or a part of it, by core's node or by any other."""
    if "torch.compile" in options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {}):
        return True
    # Never imported here: torch brings it in, slowly, once something is compiled.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and any(
        isinstance(m, dynamo.OptimizedModule) or m._compiled_call_impl is not None for m in model.modules()
    )
