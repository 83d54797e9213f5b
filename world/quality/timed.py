"""Any table of decisions on the host's model, without the pack: the reference that controls run on.

Weights are overwritten before a step and put back after the run: slow on real models, exact, and it shares
no code with the pack's side path, so it also tells whether that one does what its plan says.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..hosts.in_host import WrappersMP
from ..model.lora import SLOTS, Factors

SUBJECT, STYLE, NOBODY = 0, 1, -1


def slot_names() -> list[str]:
    """SLOTS as the pack's plans call them: the weight, and the rows of a fused one."""
    return [s.module if s.part is None else f"{s.module}[{s.rows.start}:{s.rows.stop}]" for s in SLOTS]


class _Timed:
    def __init__(self, choices: np.ndarray, factors: tuple[Factors, Factors], strength: float) -> None:
        self._choices, self._strength = choices, strength
        self._deltas = [{i: strength * (up @ down) for i, (up, down) in f.items()} for f in factors]
        self._kept: dict[str, Tensor] = {}
        self._step: int | None = None

    def run(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return executor(*args, **kwargs)
        finally:
            self._put_back()

    def evaluate(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        options = kwargs["transformer_options"] if "transformer_options" in kwargs else args[5]
        now, levels = float(options["sigmas"].flatten()[0]), options["sample_sigmas"]
        step = int((levels[:-1] - now).abs().argmin())
        if step != self._step:
            self._show(executor.class_obj.diffusion_model, self._choices[step])
            self._step = step
        return executor(*args, **kwargs)

    def _show(self, model: torch.nn.Module, who: np.ndarray) -> None:
        self._model = model
        for module in dict.fromkeys(s.module for s in SLOTS):
            weight = model.get_parameter(f"{module}.weight")
            if module not in self._kept:
                self._kept[module] = weight.detach().clone()
            weight.data.copy_(self._kept[module])
        for index, slot in enumerate(SLOTS):
            if who[index] == NOBODY:
                continue
            weight = model.get_parameter(f"{slot.module}.weight").data
            weight[slot.rows] += self._deltas[who[index]][index]

    def _put_back(self) -> None:
        for module, weight in self._kept.items():
            self._model.get_parameter(f"{module}.weight").data.copy_(weight)
        self._kept.clear()
        self._step = None


def timed(model: Any, choices: np.ndarray, factors: tuple[Factors, Factors], strength: float) -> Any:
    """A clone of MODEL that follows ``choices``, int8 [steps, 33]: 0 subject, 1 style, -1 nobody."""
    if choices.shape[1] != len(SLOTS):
        raise ValueError(f"choices have {choices.shape[1]} slots, the world's LoRAs {len(SLOTS)}")
    state, key = _Timed(choices, factors, strength), f"timed/{uuid.uuid4().hex}"
    patched = model.clone()
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, key, state.run)
    patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, key, state.evaluate)
    return patched
