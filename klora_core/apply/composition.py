"""A plan on a torch module: its slots' candidates as targets, and the passes of a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..deltas import Delta, Slot
from ..pairing import Rows
from ..plan import KEEP, Plan
from .buffers import Buffers, Target
from .fold import HostRules
from .hooks import attach_all

Name = Callable[[Slot], str]


@dataclass(frozen=True, eq=False)
class Composition:
    """What a plan adds to a model: the targets of its slots, in its order, then those that never change."""

    plan: Plan
    targets: tuple[Target, ...]


def compose(plan: Plan, rows: Rows, name: Name) -> Composition:
    """The composition of ``plan`` over the ``rows`` that it was made of; ``name`` is a slot's module."""
    strengths = [lora.strength for lora in plan.loras]

    def target(slot: Slot, deltas: Sequence[Delta | None]) -> Target:
        return Target(name(slot), slot.rows, tuple(deltas))

    targets = [
        target(row.slot, plan.method.candidates(_scaled(row.deltas, strengths))) for row in rows.competing
    ]
    if plan.other_layers == KEEP:
        for alone, strength in zip(rows.alone, strengths, strict=True):
            targets += [target(slot, _scaled((delta,), (strength,))) for slot, delta in alone.items()]
    return Composition(plan, tuple(targets))


def _scaled(deltas: Sequence[Delta | None], strengths: Sequence[float]) -> tuple[Delta | None, ...]:
    return tuple(
        None if delta is None or strength == 0 else delta.scaled(strength)
        for delta, strength in zip(deltas, strengths, strict=True)
    )


class Attachment:
    """A composition's hooks on one model object, open during its own calls alone.

    ``buffers`` are of the composition's targets. Where a hook can't be put on, none stays on.
    """

    def __init__(
        self,
        model: nn.Module,
        composition: Composition,
        buffers: Buffers,
        rules: HostRules | None = None,
        compiled: bool = False,
    ) -> None:
        self.open = False
        self.buffers = buffers
        self._competing = len(composition.plan.slots)
        self._shown: np.ndarray | None = None
        self._on: ExitStack = attach_all(model, buffers, self, rules or HostRules(), compiled)

    def show(self, who: np.ndarray) -> None:
        """Bring the buffers to ``who``, int8 [slots]; touches the slots that change."""
        if self._shown is None:
            for constant in range(self._competing, len(self.buffers.targets)):
                self.buffers.show(constant, 0)
            changed = np.arange(self._competing)
        else:
            changed = np.flatnonzero(who != self._shown)
        if not len(changed) and self._shown is not None:
            return
        # After an interrupt half way nothing is taken as shown.
        self._shown = None
        for slot in changed:
            self.buffers.show(int(slot), int(who[slot]))
        self._shown = who

    def run(self, who: np.ndarray, weights: Sequence[float], call: Callable[[int], Tensor]) -> Tensor:
        """The mixture of the passes ``who`` [passes, slots] by ``weights``; ``call(pass)`` runs the model."""
        if len(weights) == 1:
            return self._pass(who[0], 0, call)
        mixed: Tensor | None = None
        for index, weight in enumerate(weights):
            output = self._pass(who[index], index, call) * weight
            mixed = output if mixed is None else mixed + output
        assert mixed is not None, "a method has passes"
        return mixed

    def _pass(self, who: np.ndarray, index: int, call: Callable[[int], Tensor]) -> Tensor:
        self.show(who)
        self.open = True
        try:
            return call(index)
        finally:
            self.open = False

    def move_to(self, device: torch.device) -> None:
        """Hold the buffers where the evaluation runs, also when a host left them elsewhere."""
        if self.buffers.where != device:
            self.buffers.to(device)

    def remove(self) -> None:
        """Take every hook off."""
        self._on.close()
