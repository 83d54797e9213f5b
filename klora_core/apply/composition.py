"""A plan on a torch module: its slots' candidates as targets, and the passes of a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ..deltas import Candidate, Delta, Digests, Rows, lanes
from ..names import Slot
from ..plan import Plan
from .buffers import Buffers
from .gates import Record
from .hooks import attach_all
from .targets import HostRules, Target, Where
from .witness import Witness

ALWAYS = -1


@dataclass(frozen=True, eq=False)
class Composition:
    """What a plan adds to a model: the targets of its slots, in its order, then those that never change.

    ``owners`` gives for each target its slot's index in the plan, ALWAYS for one that never changes. A slot
    has several targets where the model keeps apart what the plan does not, and where changes of several kinds
    work in it at once.
    """

    plan: Plan
    targets: tuple[Target, ...]
    owners: tuple[int, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that have a target, each once."""
        return tuple(dict.fromkeys(target.layer for target in self.targets))

    def of(self, plan: Plan) -> Composition:
        """The same for a plan of other settings that are nothing to the targets."""
        return replace(self, plan=plan)

    def by_owner(self) -> dict[int, list[int]]:
        """The targets by index of each owner that has any."""
        found: dict[int, list[int]] = {}
        for target, owner in enumerate(self.owners):
            found.setdefault(owner, []).append(target)
        return found


def compose(plan: Plan, rows: Rows, where: Where, memory: Digests | None = None) -> Composition:
    """The composition of ``plan`` over the ``rows`` that it was made of; ``where`` knows the layers.

    ``memory`` has the contents of deltas that rest.
    """
    targets: list[Target] = []
    owners: list[int] = []

    def add(owner: int, slot: Slot, out: int, candidates: Sequence[Candidate]) -> None:
        for deltas in lanes(candidates):
            for spot in where(slot, out):
                targets.append(Target(spot.layer, spot.rows, _part(deltas, spot.part)))
                owners.append(owner)

    for index, row in enumerate(rows.competing):
        own = [plan.strength(lora, row.slot.name) for lora in range(len(row.deltas))]
        candidates = plan.method.candidates(index, _scaled(row.deltas, own), memory)
        add(index, row.slot, row.shape[0], candidates)
    for lora, alone in enumerate(rows.alone):
        if plan.keeps(plan.loras[lora]):
            for slot, delta in alone.items():
                add(ALWAYS, slot, delta.shape[0], _scaled((delta,), [plan.strength(lora, slot.name)]))
    return Composition(plan, tuple(targets), tuple(owners))


def _part(deltas: Sequence[Delta | None], part: tuple[int, int] | None) -> tuple[Delta | None, ...]:
    if part is None:
        return tuple(deltas)
    return tuple(None if delta is None else delta.rows(*part) for delta in deltas)


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
        self._targets = composition.by_owner()
        self._shown: np.ndarray | None = None
        self._witness = Witness()
        self.record = Record(composition.targets) if composition.plan.method.by_input else None
        if self.record is not None:
            self.record.move_to(buffers.where)
        self._on: ExitStack = attach_all(
            model, buffers, self, rules or HostRules(), compiled, self._witness, self.record
        )

    def show(self, who: np.ndarray) -> None:
        """Bring the buffers to ``who``, int8 [slots]; touches the slots that change."""
        if self._shown is None:
            for target in self._targets.get(ALWAYS, ()):
                self.buffers.show(target, 0)
            changed = np.arange(self._competing)
        else:
            changed = np.flatnonzero(who != self._shown)
        if not len(changed) and self._shown is not None:
            return
        # After an interrupt half way nothing is taken as shown.
        self._shown = None
        for slot in changed:
            for target in self._targets.get(int(slot), ()):
                self.buffers.show(target, int(who[slot]))
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

    def keep(self, step: int) -> None:
        """An evaluation of ``step`` is over: what its gates gave is the step's."""
        if self.record is not None:
            self.record.keep(step)

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
        if self.record is not None:
            self.record.move_to(device)

    @property
    def unseen(self) -> tuple[str, ...]:
        """The layers that have not run so far, in calls of this composition."""
        return self._witness.unseen

    def remove(self) -> None:
        """Take every hook off."""
        self._on.close()
