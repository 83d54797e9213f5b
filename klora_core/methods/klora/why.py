"""Why a style may look weak, and why a subject may be lost: from K-LoRA's own numbers, a line each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...loras import STYLE, SUBJECT, LoraInfo
from .evidence import Evidence
from .schedule import DEFAULT_BETA, Schedule
from .share import balance_for, style_share

# Below these nothing is worth a word: of shares, of strengths, of ranks, of the entries' concentration.
_SHARE, _STRENGTH, _RANK, _DENSER = 0.05, 0.9, 2.0, 1.25
_QUESTIONS = ((STYLE, "weak"), (SUBJECT, "lost"))


class Decided(NamedTuple):
    """What a choice between two LoRAs was made of: roles, the slots' evidence and rhos, the schedule."""

    roles: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    schedule: Schedule
    rhos: np.ndarray


def answers(decided: Decided, loras: Sequence[LoraInfo], xs: Sequence[float]) -> tuple[str, ...]:
    """Why the style may look weak, and why the subject may be lost, with the balance that evens them out.

    ``xs`` is the progress of the columns that are looked at.
    """
    return tuple(f"Why is my {role} {how}? {_answer(decided, loras, role, xs)}" for role, how in _QUESTIONS)


def _answer(decided: Decided, loras: Sequence[LoraInfo], role: str, xs: Sequence[float]) -> str:
    share = _share(decided, role, xs)
    said = [f"It has {share:.0%} of the layers over a run", *_reasons(decided, loras, role, xs)]
    return f"{'; '.join(said)}. {_remedy(decided, role, share, xs)}"


def _share(decided: Decided, role: str, xs: Sequence[float]) -> float:
    style = style_share(decided.rhos, decided.schedule, xs)
    return style if role == STYLE else 1.0 - style


def _reasons(decided: Decided, loras: Sequence[LoraInfo], role: str, xs: Sequence[float]) -> Iterator[str]:
    mine, other = decided.roles.index(role), decided.roles.index(_other(role))
    here, there = loras[mine], loras[other]
    balance = decided.schedule.balance
    if balance * (1 if role == STYLE else -1) < 0:
        yield f"balance {balance:+g} leans away from it"
    yield from _other_schedule(decided, role, xs)
    if abs(here.strength) < _STRENGTH * abs(there.strength):
        yield f"where it works, it works at strength {here.strength:g} against {there.strength:g}"
    if _share(decided, role, xs) < 0.5:
        yield from _concentration(decided, here, there, mine, other)
    if lacking := len(set(there.alone) - set(here.alone)):
        plural = "" if lacking == 1 else "s"
        yield f"the {_other(role)} also changes {lacking:,} layer{plural} that this LoRA lacks"


def _other_schedule(decided: Decided, role: str, xs: Sequence[float]) -> Iterator[str]:
    now = decided.schedule
    name = "s" if now.name == "s*" else "s*"
    if now.alpha == 0:
        # S* wraps at alpha: there is none.
        return
    there = decided._replace(schedule=replace(now, name=name, beta=DEFAULT_BETA[name]))
    if (share := _share(there, role, xs)) > _share(decided, role, xs) + _SHARE:
        yield f"schedule {now.name} gives it less than {name}, which would give it {share:.0%}"


def _concentration(decided: Decided, here: LoraInfo, there: LoraInfo, mine: int, other: int) -> Iterator[str]:
    """What the scores favour beside size: changes that sit in few large entries."""
    part = [_part(decided, lora) for lora in (mine, other)]
    if part[1] < _DENSER * part[0]:
        return
    ranks = [
        sorted(slot.ranks[lora] for slot in decided.evidence)[len(decided.evidence) // 2]
        for lora in (mine, other)
    ]
    if here.kind != there.kind:
        why = f" (it is a {there.kind}, this one a {here.kind})"
    elif ranks[0] >= _RANK * ranks[1]:
        why = f" (rank {ranks[1]} against {ranks[0]})"
    else:
        why = ""
    yield (
        f"the {there.role}'s largest entries hold {part[1]:.1%} of its change, here {part[0]:.1%}, "
        f"and the largest decide{why}"
    )


def _part(decided: Decided, lora: int) -> float:
    total = math.fsum(slot.l1[lora] for slot in decided.evidence if slot.l1)
    return math.fsum(slot.scores[lora] for slot in decided.evidence if slot.l1) / total if total else 0.0


def _remedy(decided: Decided, role: str, share: float, xs: Sequence[float]) -> str:
    even = balance_for(decided.rhos, decided.schedule, xs)
    if share >= 0.5 - _SHARE or even is None:
        lean = "positive" if role == STYLE else "negative"
        return f"If it is still too little, use a more {lean} balance."
    reached = style_share(decided.rhos, replace(decided.schedule, balance=even), xs)
    if abs(reached - 0.5) <= _SHARE:
        return f"With balance {even:+g} both would have half."
    return f"With balance {even:+g} it would have {reached if role == STYLE else 1 - reached:.0%}."


def _other(role: str) -> str:
    return SUBJECT if role == STYLE else STYLE
