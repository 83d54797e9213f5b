"""A plan in words: what competes, who wins when, and what is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .plan import Plan, ScoredSlot, check_steps

_BAR = 24
_ROWS = 32
_NAMES = 4
_FEW_SLOTS = 8
_NEAR_EVEN = 1.05


def text(plan: Plan, steps: int) -> str:
    """The report of a plan for a run of ``steps`` steps, lines joined by newlines, none at the end.

    Raises KLoraError for ``steps`` < 1.
    """
    check_steps(steps)
    sections = (_heading(plan), _table(plan, steps), _warnings(plan, steps), _left_out(plan))
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _heading(plan: Plan) -> list[str]:
    schedule = plan.schedule
    formula = f"{schedule.alpha:g} x + {schedule.beta:g}"
    if schedule.name == "s*":
        formula = f"({formula}) mod {schedule.alpha:g}"
    return [
        "K-LoRA: in every layer and step either the subject or the style LoRA works, never both.",
        f"  subject   {_lora(plan.subject.name, plan.subject.slots, plan.subject.strength)}",
        f"  style     {_lora(plan.style.name, plan.style.slots, plan.style.strength)}",
        f"  competing {_count(len(plan.slots), 'layer')}{_compared(plan.slots)}",
        f"  gamma     {plan.gamma.value:.4g} ({plan.gamma.mode}): {_gamma_in_words(plan)}",
        f"  schedule  {schedule.name} = {formula}, x from 0 (noise) to 1 (image)"
        f"{_balance_in_words(schedule.balance)}",
    ]


def _lora(name: str, slots: int, strength: float) -> str:
    parts = [f"changes {_count(slots, 'layer')}"] if slots else []
    parts += [f"strength {strength:g}"] if strength != 1 else []
    return f"{name} ({', '.join(parts)})" if parts else name


def _compared(slots: Sequence[ScoredSlot]) -> str:
    if not slots:
        return ""
    low, high = min(s.k for s in slots), max(s.k for s in slots)
    amount = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"; in each, the largest {amount} entries (K = rank x rank) of both LoRAs are compared"


def _gamma_in_words(plan: Plan) -> str:
    value = plan.gamma.value
    if plan.gamma.mode == "none":
        return "the two LoRAs are compared as they are"
    if not value > 0 or not math.isfinite(value):
        return "one of the two LoRAs is zero in all competing layers"
    if max(value, 1 / value) < _NEAR_EVEN:
        return "the two LoRAs change the model about equally strongly"
    larger, smaller = ("subject", "style") if value > 1 else ("style", "subject")
    return (
        f"the {larger} LoRA's changes are {max(value, 1 / value):.3g} times as large as the {smaller}'s; "
        "the comparison evens this out"
    )


def _balance_in_words(balance: float) -> str:
    if balance == 0:
        return ""
    return f", leaning to the {'style' if balance > 0 else 'subject'} (balance {balance:+g})"


def _table(plan: Plan, steps: int) -> list[str]:
    shares = plan.shares(steps)
    if not plan.slots:
        return []
    lines = [f"{'step':>9}  subject  style"]
    for start, stop in _groups(shares):
        style = float(shares[start:stop].mean())
        label = f"{start + 1}" if stop - start == 1 else f"{start + 1}-{stop}"
        filled = round(_BAR * (1 - style))
        bar = "#" * filled + "." * (_BAR - filled)
        lines.append(f"{label:>9}  {1 - style:>7.0%}  {style:>5.0%}  {bar}")
    mean = float(shares.mean())
    lines.append(f"{'all':>9}  {1 - mean:>7.0%}  {mean:>5.0%}  (share of the layers; # subject, . style)")
    return lines


def _groups(shares: np.ndarray) -> list[tuple[int, int]]:
    """Steps as (first, behind the last): one a row while they fit, then equal neighbours, then even parts."""
    steps = len(shares)
    if steps <= _ROWS:
        return [(i, i + 1) for i in range(steps)]
    borders = [0, *(np.flatnonzero(np.diff(shares)) + 1).tolist(), steps]
    if len(borders) - 1 > _ROWS:
        borders = np.linspace(0, steps, _ROWS + 1).round().astype(int).tolist()
    return list(zip(borders[:-1], borders[1:], strict=True))


def _warnings(plan: Plan, steps: int) -> list[str]:
    lines = []
    count = len(plan.slots)
    if count == 0:
        lines.append("Warning: no layer competes, so this plan fuses nothing.")
    elif count < _FEW_SLOTS:
        elsewhere = plan.unmatched.subject or plan.unmatched.style
        lines.append(
            f"Warning: only {_count(count, 'layer')} compete{'s' if count == 1 else ''}"
            + (": the two LoRAs mostly change different layers." if elsewhere else ".")
        )
    if count:
        mean = float(plan.shares(steps).mean())
        if mean in (0.0, 1.0):
            lines.append(_one_wins_all(plan, winner="style" if mean else "subject"))
    return lines


def _one_wins_all(plan: Plan, winner: str) -> str:
    loser = "subject" if winner == "style" else "style"
    scores = [getattr(slot, f"score_{loser}") for slot in plan.slots]
    if not any(scores):
        return f"Warning: the {loser} LoRA is zero in all competing layers, so the {winner} wins everywhere."
    lean = "positive" if loser == "style" else "negative"
    return (
        f"Warning: the {winner} LoRA wins every layer in every step, so the {loser} has no say in them. "
        f"Try a more {lean} balance, another gamma mode, or other alpha and beta."
    )


def _left_out(plan: Plan) -> list[str]:
    unmatched = plan.unmatched
    subject, style = unmatched.subject, unmatched.style
    both = [name for name in subject if name in set(style)]
    alone = set(both)
    fate = "applied as usual" if unmatched.applied else "dropped"
    groups = (
        ("only the subject LoRA changes them", [n for n in subject if n not in alone]),
        ("only the style LoRA changes them", [n for n in style if n not in alone]),
        ("both LoRAs change them, but they are not among the layers that may compete", both),
    )
    lines = [
        f"  {_count(len(names), 'layer')}, {fate}; {reason}: {abbreviated(names)}"
        for reason, names in groups
        if names
    ]
    lines += [f"  {note}" for note in unmatched.notes]
    return ["Not competing:", *lines] if lines else []


def abbreviated(names: Sequence[str]) -> str:
    """A list of names for a sentence: the first few, then how many more."""
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
