"""SMoRA in training (Zhao et al., arXiv 2501.15103): of a layer's ranks the k best work, token by token.

y = W x + (alpha / k) B (g * A x), see :mod:`klora_core.deltas.gates` for g = routed(Wr x, b, k). b is not
trained: after each step a rank that was chosen less often than the others is a little better off. alpha is k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...deltas.gates import routed
from ...files.learned import RanksOf
from ...names import Slot
from ..chains import inner, outer
from ..items import Model, Noised
from ..layers import Change, Changes
from ..loop import Group, State
from .training import Factors, Plain, Plan, Sizes, fresh

# The paper's: ranks, how many of them work at a time (k), and how far b moves.
RANK, CHOSEN, MOVES = 64, 8, 1e-5


class Smora(Plain):
    """A training with a router a slot."""

    def __init__(self, sizes: Sizes, plan: Plan) -> None:
        super().__init__(sizes, plan)
        # As the downs begin, by another draw.
        self.routers = {slot: own.down for slot, own in fresh(sizes, plan, salt=1).items()}
        self.groups = (*self.groups, Group(tuple(self.routers.values())))
        self.bias = {slot: torch.zeros(len(own), device=plan.device) for slot, own in self.routers.items()}
        self._counts: dict[Slot, Tensor] = {}

    def changes(self, step: int, model: Model, batch: Noised) -> Changes:
        return _Routed(self.factors, self.routers, self.bias, self._counts)

    def after(self, done: int, optimizer: torch.optim.Optimizer) -> None:
        for slot, counts in self._counts.items():
            self.bias[slot] += MOVES * torch.sign(counts.mean() - counts)
        self._counts.clear()

    def state(self) -> State:
        return {"bias": [bias.to("cpu", copy=True) for bias in self.bias.values()]}

    def resume(self, state: State) -> None:
        self.bias.update(zip(self.bias, (b.to(self.plan.device) for b in state["bias"]), strict=True))

    def results(self) -> tuple[dict[Slot, Any], ...]:
        return (
            {
                slot: RanksOf(
                    own.stored().up,
                    own.stored().down,
                    self.routers[slot].detach().to("cpu", copy=True),
                    self.bias[slot].to("cpu", copy=True),
                    chosen(len(own.down)),
                )
                for slot, own in self.factors.items()
            },
        )

    def facts(self) -> list[str]:
        spread = max(float(bias.abs().max()) for bias in self.bias.values())
        return [
            f"{CHOSEN} ranks work at a time, chosen for each part of the picture; b is up to {spread:.1e}. "
            "This is no ordinary LoRA: use it in Compose LoRAs."
        ]


def chosen(rank: int) -> int:
    """k of a slot: small layers have fewer ranks."""
    return min(CHOSEN, rank)


@dataclass(frozen=True, eq=False)
class _Routed:
    """The factors of slots with their routers; ``counts`` is told how many tokens chose each rank."""

    factors: Mapping[Slot, Factors]
    routers: Mapping[Slot, Tensor]
    bias: Mapping[Slot, Tensor]
    counts: dict[Slot, Tensor]

    def of(self, slot: Slot) -> Change | None:
        own, router, bias = self.factors[slot], self.routers[slot], self.bias[slot]
        k = chosen(len(bias))

        def change(module: Any, x: Tensor) -> Tensor:
            gates = routed(inner(module, x, router).float(), bias, k)
            # A block that runs again does so with gradients, and first without.
            if torch.is_grad_enabled():
                picked = (gates.detach() > 0).flatten(0, -2).sum(dim=0).float()
                self.counts[slot] = self.counts.get(slot, 0) + picked
            z = inner(module, x, own.down)
            return outer(module, z * gates.to(z.dtype), own.up)

        return change
