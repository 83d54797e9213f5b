"""K-LoRA's numbers in words, for the report and the picture."""

from __future__ import annotations

from collections.abc import Sequence

from ...loras import STYLE, SUBJECT
from ..method import Fact
from .schedule import Schedule

_NEAR_EVEN = 1.05


def facts(
    schedule: Schedule,
    amounts: Sequence[int] | None,
    gamma_mode: str,
    gamma: float,
    totals: tuple[float, float],
    outside: float,
) -> tuple[Fact, ...]:
    """What is compared, gamma, the schedule, and what becomes of the loser.

    ``amounts`` are the slots' K, None where energies are compared; ``totals`` the sums that gamma evens out.
    """
    lean = ""
    if schedule.balance:
        lean = (
            f", leaning to the {STYLE if schedule.balance > 0 else SUBJECT} (balance {schedule.balance:+g})"
        )
    compared = Fact("compared", "energy", "the sum of the squares of all entries of each (EST-LoRA)")
    if amounts is not None:
        compared = Fact("compared", _amounts(amounts), "the largest entries of each (K = rank x rank)")
    loser = Fact(
        "loser", f"outside {outside:g}", "it acts at that strength on what the winner does not look at"
    )
    return (
        compared,
        Fact("gamma", f"{gamma:.4g} ({gamma_mode})", _gamma_in_words(gamma_mode, gamma, totals)),
        Fact("schedule", formula(schedule), f"x from 0 (noise) to 1 (image){lean}"),
        *((loser,) if outside else ()),
    )


def never(roles: Sequence[str], candidate: int, label: str, is_zero: bool) -> str:
    """Why the LoRA ``candidate`` of ``roles`` wins nowhere, and what to do."""
    role = roles[candidate]
    if is_zero:
        return f"the {label} LoRA is zero in all competing layers, so it is used nowhere."
    if list(roles).count(role) > 1:
        return f"the {label} LoRA is used nowhere: wherever a {role} wins, another {role} is stronger."
    winner, lean = (SUBJECT, "positive") if role == STYLE else (STYLE, "negative")
    return (
        f"the {winner} LoRA wins every layer in every step, so the {label} has no say in them. "
        f"Try a more {lean} balance, another gamma mode, or other alpha and beta."
    )


def formula(schedule: Schedule) -> str:
    """``s = 1.5 x + 0.5``, with what the balance multiplies it by."""
    formula = f"{schedule.alpha:g} x + {schedule.beta:g}"
    if schedule.name == "s*":
        formula = f"({formula}) mod {schedule.alpha:g}"
    if schedule.balance:
        formula = f"({formula}) · {4.0**schedule.balance:.4g}"
    return f"{schedule.name} = {formula}"


def _gamma_in_words(mode: str, gamma: float, totals: tuple[float, float]) -> str:
    zero = [role for role, total in zip((SUBJECT, STYLE), totals, strict=True) if total == 0]
    if zero:
        names, verb = " and the ".join(zero), "is" if len(zero) == 1 else "are"
        return f"the {names} LoRA {verb} zero in all competing layers"
    if mode == "none":
        return "the two LoRAs are compared as they are"
    if gamma == 0:
        return "the subject LoRA is zero in every competing layer that this gamma counts"
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
