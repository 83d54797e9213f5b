"""CoTo (Zhuang et al., arXiv 2506.05713, and CopRA, 2410.22911): blocks are off at random, fewer and fewer.

A LoRA that has learned with some of its blocks missing is not lost when another LoRA takes them. Nothing of
this stays in the file: the result is an ordinary LoRA.
"""

from __future__ import annotations

import math

import torch

from ...names import transformer_block
from ..items import Model, Noised
from ..layers import Changes
from .training import Plain, Plan, Shown, Sizes, at

# The share of the blocks at the first step, and the part of the steps after which all are on.
FIRST, UNTIL = 0.1, 0.75


def share_on(step: int, steps: int) -> float:
    """p = min(1, .1 + .9 step / ceil(.75 T)): how many of the blocks are on, ``step`` from 0."""
    return min(1.0, FIRST + (1 - FIRST) * step / math.ceil(UNTIL * steps))


def blocks_on(blocks: int, step: int, steps: int, generator: torch.Generator) -> tuple[bool, ...]:
    """Which of the blocks are on at a step: those with u <= p, u ~ U(0, 1); drawn again until one is.

    It is drawn once a step and holds for the whole batch, so that a forward that is computed again for its
    gradients sees the same blocks.
    """
    p = share_on(step, steps)
    while True:
        on = tuple(u <= p for u in torch.rand(blocks, generator=generator, dtype=torch.float64).tolist())
        if any(on):
            return on


class CoTo(Plain):
    """A training in which blocks are off: they add nothing, and their factors have no gradient."""

    def __init__(self, sizes: Sizes, plan: Plan) -> None:
        super().__init__(sizes, plan)
        names = dict.fromkeys(transformer_block(slot.weight) for slot in sizes)
        self._blocks = {name: i for i, name in enumerate(names)}

    def changes(self, step: int, model: Model, batch: Noised) -> Changes:
        on = self.on(step)
        return Shown(
            {slot: own for slot, own in self.factors.items() if transformer_block(slot.weight) in on}
        )

    def on(self, step: int) -> frozenset[str]:
        """The blocks that are on at a step."""
        drawn = blocks_on(len(self._blocks), step, self.plan.steps, at(self.plan.seed + 2, step))
        return frozenset(name for name, i in self._blocks.items() if drawn[i])

    def facts(self) -> list[str]:
        until = math.ceil(UNTIL * self.plan.steps)
        return [
            f"Of {len(self._blocks)} transformer blocks a tenth were on at the first step, all from step "
            f"{until + 1} on."
        ]
