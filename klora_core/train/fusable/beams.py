"""BeamLoRA (Gu et al., arXiv 2502.13604): the ranks of a LoRA compete, and the best take the worst's places.

    h = s B ((A x) * w),    w = r softmax(g / tau)

Seven times in a training the ranks that carry the least become copies of the best of their layer as these
were half a turn before, with the optimiser's memory of them, so that the two go different ways from there. At
the end w folds into A: an ordinary LoRA.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...names import Slot
from ..chains import added
from ..items import Model, Noised
from ..layers import Change, Changes
from ..loop import Group, State
from .training import Factors, Plain, Plan, Sizes

# The softmax's temperature, and the smaller one below a rate.
TAU, SMALL_TAU, SMALL_RATE = 0.05, 0.03, 1e-4
# The turns of a training, and the share that the first prunes at most.
TURNS, MOST = 8, 0.05


@dataclass(frozen=True)
class Beams:
    """When ranks are remembered and when they are pruned, in a training of ``steps`` steps.

    Steps are counted from 1, as those that are done.
    """

    steps: int

    @property
    def turn(self) -> int:
        return max(1, self.steps // TURNS)

    def prunes(self, done: int) -> bool:
        """At the end of each turn but the last, which trains what it has."""
        return done > 0 and done % self.turn == 0 and self.steps - done >= self.turn and self.turn > 1

    def remembers(self, done: int) -> bool:
        """Half a turn before each pruning: what the copies will be copies of."""
        return self.prunes(done + self.turn // 2)


def temperature(rate: float) -> float:
    """tau of a learning rate."""
    return SMALL_TAU if rate < SMALL_RATE else TAU


def gate_weights(gate: Tensor, tau: float = TAU) -> Tensor:
    """w = r softmax(g / tau) [r]: their mean is 1, and with g = 0 each is."""
    return gate.numel() * torch.softmax(gate / tau, dim=-1)


def pruned_share(done: int, steps: int) -> float:
    """q = .05 (1 + cos(pi step / T)) / 2: what the pruned may carry together; less and less of it."""
    return MOST * (1 + math.cos(math.pi * done / steps)) / 2


def survivors(gates: Sequence[Tensor], q: float, tau: float = TAU) -> list[list[tuple[int, int]]]:
    """For each slot its (pruned rank, rank that takes its place), the worst with the best first.

    Over the ranks of all slots: those stay that, the largest first, hold 1 - q of the sum of w together. Of
    one slot at most half are pruned, the worst.
    """
    weights = [gate_weights(gate.detach().double(), tau) for gate in gates]
    every, order = torch.cat(weights).sort(descending=True, stable=True)
    # What the larger ones hold before each: a rank is needed as long as that is not enough.
    before = every.cumsum(0) - every
    kept = torch.empty_like(order, dtype=torch.bool)
    kept[order] = before < (1 - q) * every.sum()
    pairs, start = [], 0
    for weight in weights:
        own = kept[start : start + len(weight)]
        start += len(weight)
        best = weight.sort(descending=True, stable=True).indices.tolist()
        out = [rank for rank in reversed(best) if not own[rank]][: len(weight) // 2]
        pairs.append(list(zip(out, best, strict=False)))
    return pairs


def copy_ranks(now: Tensor, then: Tensor, pairs: Sequence[tuple[int, int]], dim: int) -> None:
    """Pruned ranks of ``now`` become what the others were in ``then``, in place; ranks lie along ``dim``."""
    if pairs:
        pruned, best = (torch.tensor(side, device=now.device) for side in zip(*pairs, strict=True))
        now.index_copy_(dim, pruned, then.to(now.device).index_select(dim, best))


def level(gate: Tensor, pairs: Sequence[tuple[int, int]]) -> None:
    """The gates of a rank and of its copy become their mean, in place: neither is ahead."""
    for pruned, best in pairs:
        gate[[pruned, best]] = (gate[pruned] + gate[best]) / 2


def folded(down: Tensor, gate: Tensor, tau: float = TAU) -> Tensor:
    """A with w in its rows [r, n]: what an ordinary LoRA has as ``down``."""
    return gate_weights(gate, tau).unsqueeze(1) * down


class BeamLora(Plain):
    """A training with a gate a slot, and prunings at the ends of its turns."""

    def __init__(self, sizes: Sizes, plan: Plan) -> None:
        super().__init__(sizes, plan)
        self.tau = temperature(plan.rate)
        self._beams = Beams(plan.steps)
        with torch.inference_mode(False):
            self.gates = {
                slot: torch.zeros(len(own.down), device=plan.device, requires_grad=True)
                for slot, own in self.factors.items()
            }
        self.groups = (*self.groups, Group(tuple(self.gates.values())))
        # What the ranks of each slot were half a turn ago, and how many were copied so far.
        self._then: list[list[Tensor]] = []
        self._copied, self._turns = 0, 0

    def changes(self, step: int, model: Model, batch: Noised) -> Changes:
        return _Gated(self.factors, self.gates, self.tau)

    def after(self, done: int, optimizer: torch.optim.Optimizer) -> None:
        if self._beams.remembers(done):
            self._then = [
                [tensor.detach().to("cpu", copy=True) for tensor, _ in _ranked(own, optimizer)]
                for own in self.factors.values()
            ]
        if self._beams.prunes(done):
            self._prune(done, optimizer)

    def _prune(self, done: int, optimizer: torch.optim.Optimizer) -> None:
        q = pruned_share(done, self.plan.steps)
        found = survivors(list(self.gates.values()), q, self.tau)
        for own, gate, then, pairs in zip(
            self.factors.values(), self.gates.values(), self._then, found, strict=True
        ):
            for (tensor, dim), before in zip(_ranked(own, optimizer), then, strict=True):
                copy_ranks(tensor, before, pairs, dim)
            level(gate, pairs)
            for moment in _moments(gate, optimizer):
                moment.zero_()
        self._then = []
        self._turns, self._copied = self._turns + 1, self._copied + sum(map(len, found))

    def state(self) -> State:
        return {"then": self._then, "turns": self._turns, "copied": self._copied}

    def resume(self, state: State) -> None:
        self._then, self._turns, self._copied = state["then"], state["turns"], state["copied"]

    def results(self) -> tuple[dict[Slot, Any], ...]:
        with torch.no_grad():
            return (
                {
                    slot: Factors(folded(own.down, self.gates[slot], self.tau), own.up).stored()
                    for slot, own in self.factors.items()
                },
            )

    def facts(self) -> list[str]:
        return [f"{self._copied} ranks became copies of better ones, at the ends of {self._turns} turns."]


@dataclass(frozen=True, eq=False)
class _Gated:
    """The factors of slots with their gates, with a gradient for both."""

    factors: Mapping[Slot, Factors]
    gates: Mapping[Slot, Tensor]
    tau: float

    def of(self, slot: Slot) -> Change | None:
        own = self.factors[slot]
        down = folded(own.down, self.gates[slot], self.tau)
        return lambda module, x: added(module, x, down, own.up)


def _ranked(own: Factors, optimizer: torch.optim.Optimizer) -> list[tuple[Tensor, int]]:
    """The factors of a slot and the optimiser's moments of them, each with the dimension of its ranks."""
    return [
        (tensor, dim)
        for factor, dim in ((own.down, 0), (own.up, 1))
        for tensor in (factor, *_moments(factor, optimizer))
    ]


def _moments(parameter: Tensor, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Adam's two means of a parameter's gradients; none before its first step."""
    state = optimizer.state.get(parameter, {})
    return [state[name] for name in ("exp_avg", "exp_avg_sq") if name in state]
