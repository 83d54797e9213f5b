"""The schedule that K-LoRA's scale follows, with the one control that leans it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import KLoraError
from .choice import scale, scale_star

SCHEDULES = ("s", "s*")
DEFAULT_ALPHA = 1.5
DEFAULT_BETA = {"s": 0.5, "s*": 1.3}
MAX_BALANCE = 100


@dataclass(frozen=True)
class Schedule:
    """S(x) or S*(x) times 4**balance.

    ``balance`` leans the choice: -1 subject, 0 the paper, +1 style. Raises KLoraError for another name and
    for numbers out of range.
    """

    name: str = SCHEDULES[0]
    alpha: float = DEFAULT_ALPHA
    beta: float = DEFAULT_BETA[SCHEDULES[0]]
    balance: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise KLoraError(f"unknown schedule {self.name!r}.", f"Use one of {', '.join(SCHEDULES)}")
        for label, value in (("alpha", self.alpha), ("beta", self.beta), ("balance", self.balance)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise KLoraError(f"Schedule {self.name}: {label} must be a finite number, got {value!r}.")
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
        """The scale at progress ``x`` in [0, 1]: 0 is pure noise, 1 the clean image."""
        value = (scale_star if self.name == "s*" else scale)(x, self.alpha, self.beta)
        return value * 4.0**self.balance


def make_schedule(
    name: str, alpha: float | None = None, beta: float | None = None, balance: float = 0.0
) -> Schedule:
    """A :class:`Schedule` with the paper's alpha and beta where none is given."""
    start = DEFAULT_BETA.get(name, 0.0) if beta is None else beta
    return Schedule(name, DEFAULT_ALPHA if alpha is None else alpha, start, balance)
