"""K-LoRA's numbers in words, for the report and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..method import Fact
from ..roles import STYLE, SUBJECT
from .klora_scores import Evidence

if TYPE_CHECKING:
    from .klora import Schedule

_NEAR_EVEN = 1.05


def facts(
    schedule: Schedule,
    evidence: Sequence[Evidence],
    gamma_mode: str,
    gamma: float,
    totals: tuple[float, float],
) -> tuple[Fact, ...]:
    """What is compared, gamma and the schedule; ``totals`` are the L1 sums of subject and style."""
    lean = ""
    if schedule.balance:
        lean = (
            f", leaning to the {STYLE if schedule.balance > 0 else SUBJECT} (balance {schedule.balance:+g})"
        )
    return (
        Fact(
            "compared",
            _amounts([slot.k for slot in evidence]),
            "the largest entries of each (K = rank x rank)",
        ),
        Fact("gamma", f"{gamma:.4g} ({gamma_mode})", _gamma_in_words(gamma_mode, gamma, totals)),
        Fact("schedule", _formula(schedule), f"x from 0 (noise) to 1 (image){lean}"),
    )


def never(role: str) -> str:
    """What to do where the LoRA of ``role`` wins nowhere."""
    lean = "positive" if role == STYLE else "negative"
    return f"Try a more {lean} balance, another gamma mode, or other alpha and beta."


def _formula(schedule: Schedule) -> str:
    formula = f"{schedule.alpha:g} x + {schedule.beta:g}"
    return f"{schedule.name} = " + (
        formula if schedule.name == "s" else f"({formula}) mod {schedule.alpha:g}"
    )


def _gamma_in_words(mode: str, gamma: float, totals: tuple[float, float]) -> str:
    zero = [role for role, total in zip((SUBJECT, STYLE), totals, strict=True) if total == 0]
    if zero:
        return f"the {' and the '.join(zero)} LoRA is zero in all competing layers"
    if mode == "none":
        return "the two LoRAs are compared as they are"
    factor = max(gamma, 1 / gamma)
    if factor < _NEAR_EVEN:
        return "the two LoRAs change the model about equally strongly"
    larger, smaller = (SUBJECT, STYLE) if gamma > 1 else (STYLE, SUBJECT)
    return (
        f"the {larger} LoRA's changes are {factor:.3g} times as large as the {smaller}'s; "
        "the comparison evens this out"
    )


def _amounts(numbers: Sequence[int]) -> str:
    if not numbers:
        return "0"
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
