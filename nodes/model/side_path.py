"""A plan applied to a MODEL: forward hooks on the host's own modules, for the length of a run.

Base weights are never touched, so quantised, offloaded and dynamically loaded layers work alike. Hooks
are put on the modules that an evaluation really runs, when it runs, and taken off at the end of the run:
clones, delegates and copies on other devices need no care, and nothing can be left behind.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP

from ...klora_core.apply import (
    Attachment,
    Buffers,
    Clock,
    Composition,
    Record,
    Run,
    Target,
    is_compiled,
    unseen_by_all,
)
from ...klora_core.deltas import Rows
from ...klora_core.progress import Columns, noise_levels
from ..host import RULES
from .asked import asked, with_callback
from .seen import Seen

Devices = tuple[Any, Any]
"""Where a model is when it runs, and when it does not."""
Started = Callable[[str, Columns], None]
Over = Callable[[Composition, Sequence[Record], int], None]

# A thousand calls of the host's take long enough to be noticed at every turn of a dial. One entry for each
# model that is loaded, gone with it.
_levels: WeakKeyDictionary[Any, tuple[float, ...]] = WeakKeyDictionary()

# The buffers of runs in progress.
_in_use: WeakSet[Buffers] = WeakSet()


class Shared:
    """A composition, and the buffers of all MODELs that have its targets; no memory before the first run.

    It holds the ``rows`` that it was made of: as long as it lives no others can have their id.
    """

    def __init__(self, composition: Composition, rows: Rows, dtype: torch.dtype, devices: Devices) -> None:
        self.composition, self.rows = composition, rows
        self._own = composition.targets, dtype, uuid.uuid4(), *devices
        # The host goes over to it when the model that ran last goes and others still have the buffers.
        self._patcher = self.more()

    def more(self) -> ModelPatcher:
        """A patcher of other buffers like them."""
        return _patcher(*self._own)

    def beside(self, others: Container[Any]) -> ModelPatcher:
        """A patcher of the buffers, of others where a model has them already."""
        return self.more() if self._patcher.model in others else self._patcher.clone()


def _patcher(
    targets: tuple[Target, ...], dtype: torch.dtype, own: uuid.UUID, load: Any, offload: Any, **_: Any
) -> ModelPatcher:
    patcher = ModelPatcher(Buffers(targets, dtype, "meta"), load_device=load, offload_device=offload)
    # By this the host knows a model that it has loaded already, and leaves it where it is.
    patcher.patches_uuid = own
    # The host copies additional models to further devices through their factory.
    patcher.cached_patcher_init = (_patcher, (targets, dtype, own, load, offload))
    return patcher


class SidePath:
    """One composition on a model; ``started`` is told of each run's columns, as :class:`Clock` does.

    ``over`` of what the gates of a run were, if it has any, and its number of steps, when it is over.
    ``seen`` is told which layers did not run. ``shared`` are its buffers, which other compositions of the
    same targets may have too: one that runs beside another makes its own.
    """

    def __init__(
        self, composition: Composition, shared: Shared, started: Started, seen: Seen, over: Over
    ) -> None:
        self.key = f"klora/{uuid.uuid4().hex}"
        self._composition = composition
        self._shared = shared
        self._tell_start, self._over, self._steps = started, over, 1
        self._seen, self._looked = seen, False
        self._attached: dict[int, Attachment] = {}
        self._clock: Clock | None = None
        self._asked = Run()

    def apply(self, model: Any) -> None:
        """Patch ``model``, a ModelPatcher that the caller owns."""
        others = {other.model for other in model.get_nested_additional_models()}
        model.set_additional_models(self.key, [self._shared.beside(others)])
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, self.key, self._run)
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, self.key, self._evaluate)
        model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, self.key, self._apply_model)

    def _run(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        outside = self._clock, self._asked
        self._clock, self._asked = None, asked(args, kwargs)
        args, kwargs = with_callback(args, kwargs, self._reported)
        records: list[Record] = []
        try:
            output = executor(*args, **kwargs)
            records += [a.record for a in self._attached.values() if a.record is not None]
        finally:
            # Also for InterruptProcessingException, which is no Exception.
            if self._looked:
                self._seen.over(self._unseen())
            self._looked = False
            for attachment in self._attached.values():
                attachment.remove()
                _in_use.discard(attachment.buffers)
            self._attached.clear()
            # A sampler may sample within a run of its own.
            self._clock, self._asked = outside
        if records:
            self._over(self._composition, records, self._steps)
        return output

    def _started(self, mode: str, columns: Columns) -> None:
        self._steps = len(columns) if columns.are_steps else 1
        self._tell_start(mode, columns)

    def _reported(self, index: int) -> None:
        if self._clock is None:
            # Before its first evaluation: not as samplers do that report what is done.
            self._asked = replace(self._asked, reports=False)
        else:
            self._clock.report(index)

    def _evaluate(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        if self._clock is not None:
            self._clock.tick()
        output = executor(*args, **kwargs)
        if self._attached and not self._looked:
            self._looked = True
            self._seen.first(self._unseen())
        return output

    def _unseen(self) -> tuple[str, ...]:
        """By no copy of the model."""
        return unseen_by_all(attachment.unseen for attachment in self._attached.values())

    def _apply_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        options = kwargs["transformer_options"] if "transformer_options" in kwargs else args[5]
        model, x = executor.class_obj, args[0]
        attachment = self._attachment(model, x.device, options)
        if self._clock is None:
            sampling = model.model_sampling
            progress = self._composition.plan.progress
            self._clock = Clock(progress, lambda: levels_of(sampling), self._started, self._asked)
        moment = self._clock.read(options["sigmas"], options.get("sample_sigmas"))
        method = self._composition.plan.method

        def call(index: int) -> torch.Tensor:
            return executor(*_fresh_control(args, last=index == passes - 1), **kwargs)

        weights = method.weights(moment)
        passes = len(weights)
        output = attachment.run(method.who(moment), weights, call)
        attachment.keep(moment.step)
        return output

    def _attachment(self, model: Any, device: torch.device, options: dict[str, Any]) -> Attachment:
        attachment = self._attached.get(id(model))
        if attachment is None:
            buffers = self._buffers_of(model, device)
            attachment = self._attached[id(model)] = Attachment(
                model, self._composition, buffers, RULES, _is_compiled(model, options)
            )
            _in_use.add(buffers)
        attachment.move_to(device)
        return attachment

    def _buffers_of(self, model: Any, device: torch.device) -> Buffers:
        patcher = model.current_patcher
        found = [] if patcher is None else patcher.get_additional_models_with_key(self.key)
        buffers = found[0].model if found and found[0].model not in _in_use else self._shared.more().model
        return buffers if buffers.where == device else buffers.to(device)


def _fresh_control(args: tuple, last: bool) -> tuple:
    """The call's arguments, with ControlNet's residuals in lists of their own: UNets empty them."""
    control = args[4] if len(args) > 4 else None
    if last or not isinstance(control, dict):
        return args
    copied = {key: list(value) if isinstance(value, list) else value for key, value in control.items()}
    return (*args[:4], copied, *args[5:])


def _is_compiled(model: Any, options: dict[str, Any]) -> bool:
    """Whether torch.compile runs the model or a part of it, by core's node or by any other."""
    if "torch.compile" in options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {}):
        return True
    return is_compiled(model)


def levels_of(model_sampling: Any) -> tuple[float, ...]:
    """Its sigmas at equal steps of its noise schedule, see ``klora_core.progress.Progress``."""
    if model_sampling not in _levels:
        _levels[model_sampling] = noise_levels(model_sampling.percent_to_sigma)
    return _levels[model_sampling]
