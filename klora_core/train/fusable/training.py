"""A new LoRA in training: its factors, and what of a training a method may have a say in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ...deltas import LowRank
from ...names import Slot
from ..chains import added
from ..items import Copy, Item, Model, Noised, noised, together
from ..layers import Change, Changes
from ..loop import Group, State

Sizes = Mapping[Slot, tuple[int, int]]
"""[out, n] of the slots that are trained."""


@dataclass(frozen=True, eq=False)
class Factors:
    """A slot's ``down`` A [r, n] and ``up`` B [out, r], which are learned."""

    down: Tensor
    up: Tensor

    def stored(self) -> LowRank:
        """As they are now, on the CPU."""
        up, down = (each.detach().to("cpu", torch.float32, copy=True) for each in (self.up, self.down))
        return LowRank(up, down)


@dataclass(frozen=True)
class Plan:
    """What every method is told: how long, how fast, how large, and the seed of all that is random."""

    steps: int
    rate: float
    rank: int
    seed: int
    device: torch.device | str = "cpu"


class Method(Protocol):
    """A LoRA in training by some method."""

    plan: Plan
    groups: tuple[Group, ...]

    def changes(self, step: int, model: Model, batch: Noised) -> Changes:
        """What is added to the model in a forward of ``step``, from 0 on."""
        ...

    def plain(self) -> Changes:
        """What a forward adds, as one LoRA would: to count what a training takes."""
        ...

    def extra(self, step: int) -> Tensor | None:
        """A further term of the loss, None where there is none."""
        ...

    def after(self, done: int, optimizer: torch.optim.Optimizer) -> None:
        """Told when so many steps are done, before the next; may change parameters and moments."""
        ...

    def state(self) -> State:
        """What beside the loop's own state is needed to go on, on the CPU."""
        ...

    def resume(self, state: State) -> None:
        """Go on from a state."""
        ...

    def results(self) -> tuple[dict[Slot, Any], ...]:
        """The LoRAs as they are now, on the CPU: one, or the content's and the style's. By slot
        ``LowRank``, or ``RanksOf`` where ranks are chosen."""
        ...

    def facts(self) -> list[str]:
        """Sentences for the report about what the method did."""
        ...


class Plain:
    """An ordinary training. Others derive from it what they do not change."""

    def __init__(self, sizes: Sizes, plan: Plan) -> None:
        self.plan = plan
        self.factors = fresh(sizes, plan)
        self.groups: tuple[Group, ...] = (Group(tuple(parameters(self.factors))),)

    def changes(self, step: int, model: Model, batch: Noised) -> Changes:
        return Shown(self.factors)

    def plain(self) -> Changes:
        return Shown(self.factors)

    def extra(self, step: int) -> Tensor | None:
        return None

    def after(self, done: int, optimizer: torch.optim.Optimizer) -> None:
        pass

    def state(self) -> State:
        return {}

    def resume(self, state: State) -> None:
        pass

    def results(self) -> tuple[dict[Slot, Any], ...]:
        return ({slot: own.stored() for slot, own in self.factors.items()},)

    def facts(self) -> list[str]:
        return []


@dataclass(frozen=True, eq=False)
class Shown:
    """The factors of slots, added as they are; a slot without is off."""

    factors: Mapping[Slot, Factors | LowRank]

    def of(self, slot: Slot) -> Change | None:
        own = self.factors.get(slot)
        return None if own is None else lambda module, x: added(module, x, own.down, own.up)


def fresh(sizes: Sizes, plan: Plan, spread: float | None = None, salt: int = 0) -> dict[Slot, Factors]:
    """Factors for all slots, in float32: up 0 and down uniform with the variance 1 / (3 n), as is usual; with
    ``spread`` both normal with this deviation. The rank is at most a slot's smaller side."""
    generator = at(plan.seed, -1 - salt)
    made: dict[Slot, Factors] = {}
    with torch.inference_mode(False):
        for slot, (out, n) in sizes.items():
            rank = min(plan.rank, out, n)
            if spread is None:
                down = (torch.rand(rank, n, generator=generator) * 2 - 1) / math.sqrt(n)
                up = torch.zeros(out, rank)
            else:
                down = torch.randn(rank, n, generator=generator) * spread
                up = torch.randn(out, rank, generator=generator) * spread
            made[slot] = Factors(*(each.to(plan.device).requires_grad_() for each in (down, up)))
    return made


def parameters(factors: Mapping[Slot, Factors]) -> Iterator[Tensor]:
    for own in factors.values():
        yield from (own.down, own.up)


def at(seed: int, step: int) -> torch.Generator:
    """The generator of a step: whatever is drawn for it is the same whenever it is done."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step * 7919 + 17) % (1 << 62))


def copies_of(count: int, batch: int, seed: int, step: int) -> list[Copy]:
    """The noised copies of a step, ``batch`` of ``count`` pictures: each as often as the others, in an order
    of its own each time."""
    generator = at(seed, step)
    percents = torch.rand(batch, generator=generator).tolist()
    seeds = torch.randint(1 << 62, (batch,), generator=generator).tolist()
    chosen = [_nth(count, seed, step * batch + i) for i in range(batch)]
    return [Copy(*each) for each in zip(chosen, percents, seeds, strict=True)]


def _nth(count: int, seed: int, place: int) -> int:
    epoch, within = divmod(place, count)
    return int(torch.randperm(count, generator=at(seed + 1, epoch))[within])


def terms(
    method: Method, model: Model, items: Sequence[Item], batch: int, at_once: int, step: int
) -> Iterator[Tensor]:
    """The terms of a step's loss: mean (v - target)^2 over ``batch`` copies, one caption a forward, at most
    ``at_once`` copies in each; then the method's own term."""
    for chosen in together(items, copies_of(len(items), batch, method.plan.seed, step), at_once):
        shown = noised(model, items, chosen)
        condition = items[chosen[0].item].condition
        answer = model.predict(shown.x, shown.sigma, condition, method.changes(step, model, shown))
        yield error(answer, shown) * (len(chosen) / batch)
    more = method.extra(step)
    if more is not None:
        yield more


def error(answer: Tensor, shown: Noised) -> Tensor:
    """mean (v - target)^2."""
    return (answer.float() - shown.target.float()).square().mean()
