"""What is learned from: pictures and their conditions, noised alike in every run, and a model's answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import KLoraError
from .layers import Changes


class Noised(NamedTuple):
    """Noisy latents ``x`` [b, ...], their noise levels ``sigma`` [b], and what the model should answer."""

    x: Tensor
    sigma: Tensor
    target: Tensor


class Model(Protocol):
    """A model to learn on. Its answers are the network's own output, eps, v or flow, never the picture."""

    def noised(self, latent: Tensor, noise: Tensor, percent: Tensor) -> Noised:
        """``latent`` [b, ...] under ``noise`` at ``percent`` [b] of the schedule, 0 all noise."""
        ...

    def predict(self, x: Tensor, sigma: Tensor, condition: Any, changes: Changes | None) -> Tensor:
        """The answer to ``x`` [b, ...] at ``sigma`` [b] under one ``condition``, with ``changes`` added."""
        ...


@dataclass(frozen=True, eq=False)
class Item:
    """A picture's latent [1, ...] as the model sees it, and its condition, as the model takes it."""

    latent: Tensor
    condition: Any


class Copy(NamedTuple):
    """A noised copy of an item: which one, its noise level in percent of the schedule, its noise's seed."""

    item: int
    percent: float
    seed: int


def copies(items: Sequence[Item], count: int, seed: int) -> tuple[Copy, ...]:
    """``count`` noised copies, of all items as often as can be; the same for the same ``seed``."""
    if not items:
        raise KLoraError("there is nothing to learn from.", "Give at least one picture")
    generator = torch.Generator().manual_seed(seed)
    percents = torch.rand(count, generator=generator).tolist()
    seeds = torch.randint(1 << 62, (count,), generator=generator).tolist()
    return tuple(Copy(i % len(items), *pair) for i, pair in enumerate(zip(percents, seeds, strict=True)))


def noised(model: Model, items: Sequence[Item], chosen: Sequence[Copy]) -> Noised:
    """The copies ``chosen``, of items of one shape, as one batch."""
    latents = [items[copy.item].latent for copy in chosen]
    noises = [
        torch.randn(latent.shape, generator=torch.Generator().manual_seed(copy.seed))
        for latent, copy in zip(latents, chosen, strict=True)
    ]
    return model.noised(
        torch.cat(latents), torch.cat(noises), torch.tensor([copy.percent for copy in chosen])
    )


def together(items: Sequence[Item], chosen: Sequence[Copy], at_once: int) -> Iterator[list[Copy]]:
    """The copies in groups of at most ``at_once``, each of one shape and one condition."""
    groups: dict[tuple[int, torch.Size], list[Copy]] = {}
    for copy in chosen:
        item = items[copy.item]
        groups.setdefault((id(item.condition), item.latent.shape), []).append(copy)
    for group in groups.values():
        for start in range(0, len(group), at_once):
            yield group[start : start + at_once]


def drawn(count: int, of: int, seed: int, step: int) -> list[int]:
    """``count`` different numbers below ``of`` for a step: the same whenever this step is done."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % (1 << 62))
    return torch.randperm(of, generator=generator)[:count].tolist()
