"""What every gate tells: a factor for each rank, and how much of each LoRA that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ...errors import KLoraError
from ..scaled import Held

PICTURE, TOKEN = POOLS = ("picture", "token")
"""One gate for all tokens of a batch row, whatever the resolution; or one for each token."""
TOTALS = ("1", "N")
"""What the gates of a layer sum to: 1, or the number of its LoRAs, so that even gates are their plain sum."""
EVEN = TOTALS[1]
LEAST_TAU = 1e-3
"""A temperature below it counts as this: a trained one may have wandered through 0."""


def check_settings(pool: str, total: str) -> None:
    """Raises KLoraError for what neither is."""
    for value, offered, what in ((pool, POOLS, "pool"), (total, TOTALS, "sum")):
        if value not in offered:
            raise KLoraError(f"{what} must be one of {', '.join(offered)}, got {value!r}.")


@dataclass(frozen=True, eq=False)
class Gate(Held, ABC):
    """f(z) for the ranks of a layer, with z = down x; its tensors are float32 on the layer's device."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many parts are weighed against each other: LoRAs, or a LoRA's ranks."""

    @property
    def settings(self) -> tuple[Any, ...]:
        """What it is beside its tensors."""
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in self.held)

    @abstractmethod
    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(the factor of each rank [B, T or 1, R], the share of each part [B, T or 1, count]; sum to 1).

        ``z`` is float32 [B, T, rows of down], a batch row's tokens side by side.
        """


def pooled(scores: Tensor, pool: str) -> Tensor:
    """Scores [B, T, N] as they count: the mean of a batch row's tokens [B, 1, N], or each token's own."""
    return scores.mean(1, keepdim=True) if pool == PICTURE else scores


def gates_of(scores: Tensor, tau: Tensor | float, pool: str) -> Tensor:
    """g = softmax(score / tau) over the last dimension, of pooled scores; differentiable in both."""
    least = torch.as_tensor(tau, device=scores.device).clamp_min(LEAST_TAU)
    return torch.softmax(pooled(scores, pool) / least, -1)


def total_of(total: str, count: int) -> float:
    """s: what the gates of ``count`` LoRAs sum to."""
    return float(count) if total == EVEN else 1.0


def owners(ranks: Sequence[int]) -> Tensor:
    """Which LoRA each of the stacked ranks belongs to, int64 [R]."""
    return torch.repeat_interleave(torch.arange(len(ranks)), torch.tensor([*ranks]))
