"""S and S*: how much the style must give way, as a function of denoising progress (K-LoRA, Eq. 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import KLoraError

NAMES = ("s", "s*")
DEFAULT_ALPHA = 1.5
MAX_BALANCE = 100
DEFAULT_BETA = {"s": 0.5, "s*": 1.3}


@dataclass(frozen=True)
class Schedule:
    """S(x) = alpha * x + beta (Eq. 7) or S*(x) = (alpha * x + beta) mod alpha, times 4**balance.

    ``balance`` leans the choice: -1 subject, 0 the paper, +1 style.
    """

    name: str = "s"
    alpha: float = DEFAULT_ALPHA
    beta: float = DEFAULT_BETA["s"]
    balance: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise KLoraError(f"Unknown schedule {self.name!r}: use one of {', '.join(NAMES)}.")
        for label, value in (("alpha", self.alpha), ("beta", self.beta), ("balance", self.balance)):
            if not math.isfinite(value):
                raise KLoraError(f"Schedule {self.name}: {label} must be a finite number, got {value}.")
        if abs(self.balance) > MAX_BALANCE:
            raise KLoraError(f"balance must be within -{MAX_BALANCE} and {MAX_BALANCE}, got {self.balance}.")
        if self.alpha < 0 or self.beta < 0:
            raise KLoraError(
                f"Schedule {self.name}: alpha and beta must not be negative, "
                f"got {self.alpha} and {self.beta}."
            )
        if self.name == "s*" and self.alpha == 0:
            raise KLoraError("Schedule s*: alpha must be greater than 0, since S* wraps at alpha.")

    def scale(self, x: float) -> float:
        """S at progress ``x`` in [0, 1]: 0 is pure noise, 1 the clean image."""
        value = self.alpha * x + self.beta
        if self.name == "s*":
            value = value % self.alpha
        return value * 4.0**self.balance


def make_schedule(
    name: str, alpha: float | None = None, beta: float | None = None, balance: float = 0.0
) -> Schedule:
    """A :class:`Schedule` with the paper's alpha and beta where none is given."""
    return Schedule(
        name,
        DEFAULT_ALPHA if alpha is None else alpha,
        DEFAULT_BETA.get(name, 0.0) if beta is None else beta,
        balance,
    )


def step_progress(step: int, steps: int) -> float:
    """Progress of step ``step`` of ``steps``: x = (i + 1/2) / T, one value for the whole step."""
    return (step + 0.5) / steps
