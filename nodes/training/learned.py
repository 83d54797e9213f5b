"""A new LoRA learned on a second model, from the first step or from where an interrupt stopped it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...klora_core.deltas import LowRank
from ...klora_core.files.learned import RanksOf
from ...klora_core.names import Slot
from ...klora_core.train import Changes, Item, Loop, Model, Pace, noised, together
from ...klora_core.train.fusable import Method, Plan, Sizes, TrainMethod, copies_of, error, terms
from .kept import digest, keep, take
from .memory import check_weights, counted
from .on_host import OnHost, on_host
from .second_model import check, second_model

# Noised copies that are never trained on: on them the loss is told, before and after.
_HELD, _HELD_SEED = 6, 271_828
# Of a number that is learned: itself, its gradient and two moments, 4 bytes each.
_BYTES = 16


@dataclass(frozen=True)
class Course:
    """How a training runs: what its method does not decide."""

    batch: int
    warm_up: int
    clip: float | None


@dataclass(frozen=True, eq=False)
class Learned:
    """What a training gave: its LoRAs by slot, each step's loss, the loss on copies that were not trained on
    before and after, the layers that never ran, the method's own sentences, and what it took of memory."""

    loras: tuple[dict[Slot, Any], ...]
    losses: tuple[float, ...]
    before: float
    after: float
    unseen: tuple[str, ...]
    facts: tuple[str, ...]
    memory: str


def learn(
    model: Any,
    method: TrainMethod,
    items: Sequence[Item],
    sizes: Sizes,
    plan: Plan,
    course: Course,
    given: Sequence[Any],
    progress: Callable[[int, Sequence[float]], None],
) -> Learned:
    """Train by ``method``; ``given`` is what it alone is told. ``progress`` is told (steps done, losses), and
    may stop it: an equal call goes on from there, bit for bit, or gives at once what was finished."""
    check(model)
    name = digest(
        model, method.label, plan, course, given, [[item.latent, item.condition] for item in items],
        [[slot.weight, *size] for slot, size in sizes.items()],
    )  # fmt: skip
    state = take(name) or {}
    if "loras" in state:
        return _finished(state, list(sizes))
    heights = {slot: out for slot, (out, _) in sizes.items()}
    factors = _memory(sizes, plan, method)
    check_weights(model, factors)
    with second_model(model, factors) as second:
        training = method.make(sizes, replace(plan, device=second.load_device), given)
        largest = max(items, key=lambda item: item.latent.numel())
        needs = counted(second, heights, largest.latent, largest.condition, training.plain(), factors)
        with on_host(second, heights) as host:
            learned = _run(host, training, items, sizes, course, method.falls, name, state, progress)
    learned = replace(learned, memory=needs.line())
    keep(name, _plain(learned, list(sizes)))
    return learned


def _run(
    host: OnHost,
    training: Method,
    items: Sequence[Item],
    sizes: Sizes,
    course: Course,
    falls: bool,
    name: str,
    state: dict[str, Any],
    progress: Callable[[int, Sequence[float]], None],
) -> Learned:
    """The steps from ``state`` on; where they are stopped it is kept under ``name``."""
    plan = training.plan
    loop = Loop(training.groups, Pace(plan.steps, plan.rate, course.warm_up, falls, course.clip))
    held = copies_of(len(items), _HELD, plan.seed + _HELD_SEED, 0)
    if state:
        loop.resume(state["loop"])
        training.resume(state["method"])
        before = state["before"]
    else:
        before = _held(host, items, held, lambda batch: None)
    try:
        loop.run(
            lambda step: terms(training, host, items, course.batch, 1, step),
            lambda done, loss: progress(done, loop.losses),
            lambda step: training.after(step + 1, loop.optimizer),
        )
    except BaseException:
        # The host's interrupt is no Exception.
        if loop.step:
            keep(name, {"loop": loop.state(), "method": training.state(), "before": before})
        raise
    after = _held(host, items, held, lambda batch: training.changes(plan.steps, host, batch))
    return _learned(host, training, list(sizes), tuple(loop.losses), before, after)


def _memory(sizes: Sizes, plan: Plan, method: TrainMethod) -> int:
    """Bytes for what is learned."""
    numbers = sum(min(plan.rank, *size) * sum(size) for size in sizes.values())
    return numbers * _BYTES * max(1, len(method.halves))


def _learned(
    host: OnHost,
    training: Method,
    slots: Sequence[Slot],
    losses: tuple[float, ...],
    before: float,
    after: float,
) -> Learned:
    unseen = tuple(sorted(host.layers.unseen))
    ran = [slot for slot in slots if not any(name.endswith(f".{slot.weight}") for name in unseen)]
    loras = tuple({slot: lora[slot] for slot in ran} for lora in training.results())
    return Learned(loras, losses, before, after, unseen, tuple(training.facts()), "")


def _plain(learned: Learned, slots: Sequence[Slot]) -> dict[str, Any]:
    """What was learned as tensors, numbers and texts; a slot by its place among ``slots``."""
    places = {slot: i for i, slot in enumerate(slots)}
    loras = [{places[slot]: _numbers(change) for slot, change in lora.items()} for lora in learned.loras]
    return {
        "loras": loras,
        "losses": list(learned.losses),
        "ends": [learned.before, learned.after],
        "unseen": list(learned.unseen),
        "facts": list(learned.facts),
        "memory": learned.memory,
    }


def _numbers(change: LowRank | RanksOf) -> list[Any]:
    if isinstance(change, RanksOf):
        return [change.up, change.down, change.router, change.bias, change.k]
    return [change.up, change.down]


def _change(numbers: Sequence[Any]) -> LowRank | RanksOf:
    return LowRank(*numbers) if len(numbers) == 2 else RanksOf(*numbers)


def _finished(state: dict[str, Any], slots: Sequence[Slot]) -> Learned:
    loras = tuple(
        {slots[place]: _change(numbers) for place, numbers in lora.items()} for lora in state["loras"]
    )
    before, after = state["ends"]
    return Learned(
        loras,
        tuple(state["losses"]),
        before,
        after,
        tuple(state["unseen"]),
        tuple(state["facts"]),
        state["memory"],
    )


def _held(
    model: Model, items: Sequence[Item], copies: Sequence[Any], changes: Callable[[Any], Changes | None]
) -> float:
    """The mean loss on ``copies``."""
    total = 0.0
    with torch.inference_mode(False), torch.no_grad():
        for chosen in together(items, copies, 1):
            batch = noised(model, items, chosen)
            condition = items[chosen[0].item].condition
            answer = model.predict(batch.x, batch.sigma, condition, changes(batch))
            total += float(error(answer, batch)) * len(chosen)
    return total / len(copies)
