"""What a plan does in one sentence: who leads when, and what each never gets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from ..names import block
from ..plan import Plan
from ..progress import Columns

_PLACES = 3
UNDECIDED = "decided by the picture: a run shows it"


def sentence(plan: Plan, columns: Columns) -> str:
    """Who leads how much of a run, and which layers a candidate that is used never works in."""
    if plan.method.undecided:
        return f"{plan.method.name}: how much of each LoRA works where is {UNDECIDED}."
    chosen = plan.choices(columns)
    parts = [_leads(plan.family_names, plan.family_shares(columns), columns)]
    names = [slot.name for slot in plan.slots]
    # A LoRA that never works alone somewhere may work there with others.
    for candidate, label in enumerate(() if plan.method.adds else plan.candidates):
        used = (chosen == candidate).any(axis=(0, 2))
        if used.any() and not used.all():
            never = [name for name, is_used in zip(names, used, strict=True) if not is_used]
            parts.append(f"the {label} never gets {spell_out(never, names)}")
    return f"{plan.method.name}: {'; '.join(parts)}."


def _leads(labels: Sequence[str], shares: np.ndarray, columns: Columns) -> str:
    highest = shares.max(axis=0)
    leading = (shares == highest) & (highest > 0)
    alone = leading.sum(axis=0) == 1
    counts = [int((row & alone).sum()) for row in leading]
    if not any(counts):
        return "all have an equal part throughout" if highest.any() else "no LoRA works in a layer"
    said = [
        f"the {label} leads {_amount(count, columns, first=not i)}"
        for i, (label, count) in enumerate(
            (label, count) for label, count in zip(labels, counts, strict=True) if count
        )
    ]
    return ", ".join(said)


def _amount(count: int, columns: Columns, first: bool) -> str:
    total = len(columns)
    if not columns.are_steps:
        return f"{count / total:.0%} of the way"
    if not first:
        return str(count)
    return f"{'all' if count == total > 1 else count} of {total} step{'' if total == 1 else 's'}"


def spell_out(names: Sequence[str], all_names: Sequence[str]) -> str:
    """Some slots of a network in a few words: whole blocks, then whole parts of blocks, then their number.

    ``names`` are among ``all_names``; for example ``mid, attn2 of up 5 and 12 of 280 layers``.
    """
    left = set(names)
    said: list[str] = []
    for key in (_block, _part):
        for place, there in _by(key, all_names).items():
            if place and len(said) < _PLACES and set(there) <= left:
                said.append(place)
                left -= set(there)
    if left:
        more = " other" if said else ""
        said.append(f"{len(left)} of {len(all_names):,}{more} layers")
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def _by(key: Callable[[str], str], names: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return groups


def _block(name: str) -> str:
    return block(name)[1]


def _part(name: str) -> str:
    """``attn2 of up 5``; empty where a slot's block has no such parts."""
    words = name.split("[", 1)[0].split(".")
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    inner = [word for word in words[2:-1] if not word.isdigit()]
    return f"{inner[-1]} of {_block(name)}" if inner else ""
