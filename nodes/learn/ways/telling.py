"""What the reports of all ways share: how the loss fell, and how far the result is from what it should be."""

from __future__ import annotations

from collections.abc import Sequence

from ....klora_core import train
from ....klora_core.train import Changes, Factors, Known
from ...training import OnHost

SUMS = (0.5, 0.7, 1.0)


def losses_in_words(losses: Sequence[float]) -> list[str]:
    """How the loss fell."""
    if not losses:
        return []
    part = max(1, len(losses) // 10)
    first, last = (sum(some) / part for some in (losses[:part], losses[-part:]))
    return [f"Loss over {len(losses)} steps: {first:.4g} in the first tenth, {last:.4g} in the last."]


def beside(
    on: OnHost, factors: Factors, changes: Changes, unseen: Sequence[Known], together: int
) -> list[str]:
    """How far the plain sums and ``changes`` are from what they should answer."""
    by_name = {f"plain sum at {s:g}": train.at_strengths(factors, (s,) * factors.count) for s in SUMS}
    found = {
        name: [train.distance(on, own, each, together) for own in unseen]
        for name, each in {**by_name, "what was learned": changes}.items()
    }
    return [
        "Error of the model's answers on noise that nothing was learned from (less is nearer):",
        *(f"  {name}: {', '.join(f'{each:.4g}' for each in errors)}" for name, errors in found.items()),
    ]


def never_ran(on: OnHost) -> list[str]:
    """How many layers never ran."""
    missing = on.layers.unseen
    return [f"{len(missing)} layers never ran, so nothing was learned for them."] if missing else []
