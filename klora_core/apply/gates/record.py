"""What the gates of a run gave, kept where they run: nothing waits for it before the run is over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...deltas import Gated
from ..targets import Target
from .adding import Hear, unheard


class Record:
    """The mean gates of each target in each step of a run.

    A call adds to a tensor of its own place, ``keep`` to what the step has: no number leaves the device, and
    no step is known to what torch.compile runs.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        gates = {i: gate for i, target in enumerate(targets) if (gate := _gate_of(target)) is not None}
        self._places = {i: place for place, i in enumerate(gates)}
        self._counts = {i: gate.gate.count for i, gate in gates.items()}
        # Inference tensors could not be added to by a sampler that runs outside inference mode.
        with torch.inference_mode(False):
            self._now = torch.zeros(len(gates), max(self._counts.values(), default=0))
        self._steps: dict[int, Tensor] = {}

    def ear(self, target: int) -> Hear:
        """What is told of the gates of ``target``."""
        if target not in self._places:
            return unheard
        place, count = self._places[target], self._counts[target]

        def hear(shares: Tensor) -> None:
            self._now[place, :count] += shares.detach().mean((0, 1))

        return hear

    def move_to(self, device: torch.device) -> None:
        """Listen where the model runs."""
        if self._now.device != device:
            with torch.inference_mode(False):
                self._now = self._now.to(device)

    def keep(self, step: int) -> None:
        """An evaluation of ``step`` is over."""
        if step not in self._steps:
            self._steps[step] = torch.zeros_like(self._now)
        whole = self._steps[step]
        whole += self._now.to(whole.device)
        self._now.zero_()

    def sums(self) -> dict[int, np.ndarray]:
        """By step: the sums of the shares of each target's calls, float64 [targets, count]; waits for the
        device, once. The gates of a target that was heard are its row divided by the row's sum.
        """
        if not self._steps:
            return {}
        together = torch.stack([each.to(self._now.device) for each in self._steps.values()])
        return dict(zip(self._steps, together.cpu().numpy().astype(np.float64), strict=True))

    @property
    def targets(self) -> tuple[int, ...]:
        """The targets that have a gate, in the order of the rows of :meth:`sums`."""
        return tuple(self._places)


def _gate_of(target: Target) -> Gated | None:
    return next((delta for delta in target.candidates if isinstance(delta, Gated)), None)


def mean_gates(records: Sequence[Record], owners: Sequence[int], slots: int, steps: int) -> np.ndarray:
    """The mean gates of a run, float64 [slots, steps, parts], NaN where a slot was not called in a step.

    ``records`` are those of all copies of the model, ``owners`` gives the slot of each target.
    """
    every = [(record.targets, record.sums()) for record in records]
    width = max((found.shape[1] for _, sums in every for found in sums.values()), default=0)
    whole = np.zeros((slots, steps, width))
    for targets, sums in every:
        for step, found in sums.items():
            for row, target in zip(found, targets, strict=True):
                if owners[target] >= 0:
                    whole[owners[target], min(step, steps - 1)] += row
    total = whole.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, whole / total, np.nan)
