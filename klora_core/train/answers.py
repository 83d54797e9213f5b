"""A model's answers without gradients: what a LoRA says alone, and how far others are from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .items import Copy, Item, Model, copies, noised, together
from .layers import Changes


@dataclass(frozen=True, eq=False)
class Known:
    """Noised copies of items and, for each, what the answer should be, [1, ...] on the CPU."""

    items: Sequence[Item]
    copies: tuple[Copy, ...]
    answers: tuple[Tensor, ...]


def known(
    model: Model, items: Sequence[Item], count: int, seed: int, changes: Changes, at_once: int = 1
) -> Known:
    """``count`` copies of ``items`` and the model's answers to them with ``changes``, made once."""
    chosen = copies(items, count, seed)
    answers: dict[Copy, Tensor] = {}
    with torch.inference_mode(False), torch.no_grad():
        for group in together(items, chosen, at_once):
            made = _answer(model, items, group, changes).cpu()
            answers.update(zip(group, made.split(1), strict=True))
    return Known(items, chosen, tuple(answers[copy] for copy in chosen))


def targets(model: Model, items: Sequence[Item], count: int, seed: int, at_once: int = 1) -> Known:
    """``count`` copies of ``items`` and what a model that knew the picture would answer."""
    chosen = copies(items, count, seed)
    each = [noised(model, items, [copy]).target.cpu() for copy in chosen]
    return Known(items, chosen, tuple(each))


def errors(
    model: Model, right: Known, numbers: Sequence[int], changes: Changes, at_once: int = 1
) -> Iterator[tuple[Tensor, float]]:
    """mean (v(x, p) - v_i)^2 of the copies ``numbers``, with gradients: call by call, each with its share."""
    wanted = {right.copies[i]: right.answers[i] for i in numbers}
    for group in together(right.items, list(wanted), at_once):
        made = _answer(model, right.items, group, changes)
        own = torch.cat([wanted[copy] for copy in group]).to(made)
        yield (made - own).square().mean(), len(group) / len(wanted)


def distance(model: Model, right: Known, changes: Changes | None, at_once: int = 1) -> float:
    """The mean square of the model's answers' error with ``changes``, without gradients."""
    by_copy = dict(zip(right.copies, right.answers, strict=True))
    total = 0.0
    with torch.inference_mode(False), torch.no_grad():
        for group in together(right.items, right.copies, at_once):
            made = _answer(model, right.items, group, changes)
            wanted = torch.cat([by_copy[copy] for copy in group]).to(made)
            total += float((made - wanted).double().square().flatten(1).mean(1).sum())
    return total / len(right.copies)


def _answer(model: Model, items: Sequence[Item], group: Sequence[Copy], changes: Changes | None) -> Tensor:
    x, sigma, _ = noised(model, items, group)
    condition: Any = items[group[0].item].condition
    return model.predict(x, sigma, condition, changes)
