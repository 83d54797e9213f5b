"""Why a style may look weak, and why a subject may be lost: from K-LoRA's own numbers, a line each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..roles import STYLE, SUBJECT
from .klora_share import balance_for, style_share

if TYPE_CHECKING:
    from ..plan import LoraInfo
    from .klora import KLora

# Below these nothing is worth a word: of shares, of strengths, of ranks, of the entries' concentration.
_SHARE, _STRENGTH, _RANK, _DENSER = 0.05, 0.9, 2.0, 1.25
_QUESTIONS = ((STYLE, "weak"), (SUBJECT, "lost"))


def answers(method: KLora, loras: Sequence[LoraInfo], xs: Sequence[float]) -> tuple[str, ...]:
    """Why the style may look weak, and why the subject may be lost, with the balance that evens them out.

    ``xs`` is the progress of the columns that are looked at.
    """
    return tuple(f"Why is my {role} {how}? {_answer(method, loras, role, xs)}" for role, how in _QUESTIONS)


def _answer(method: KLora, loras: Sequence[LoraInfo], role: str, xs: Sequence[float]) -> str:
    share = _share(method, role, xs)
    said = [f"It has {share:.0%} of the layers over a run", *_reasons(method, loras, role, xs)]
    return f"{'; '.join(said)}. {_remedy(method, role, share, xs)}"


def _share(method: KLora, role: str, xs: Sequence[float]) -> float:
    style = style_share(method.rhos, method.schedule, xs)
    return style if role == STYLE else 1.0 - style


def _reasons(method: KLora, loras: Sequence[LoraInfo], role: str, xs: Sequence[float]) -> Iterator[str]:
    mine, other = method.roles.index(role), method.roles.index(_other(role))
    here, there = loras[mine], loras[other]
    balance = method.schedule.balance
    if balance * (1 if role == STYLE else -1) < 0:
        yield f"balance {balance:+g} leans away from it"
    if role == STYLE and method.schedule.name == "s*":
        plain = style_share(
            method.rhos, replace(method.schedule, name="s", beta=method.defaults()["beta"]["s"]), xs
        )
        if plain > _share(method, STYLE, xs) + _SHARE:
            yield f"s* gives it less than s, which would give it {plain:.0%}"
    if abs(here.strength) < _STRENGTH * abs(there.strength):
        yield f"where it works, it works at strength {here.strength:g} against {there.strength:g}"
    if _share(method, role, xs) < 0.5:
        yield from _concentration(method, here, there, mine, other)
    if lacking := len(set(there.alone) - set(here.alone)):
        plural = "" if lacking == 1 else "s"
        yield f"the {_other(role)} also changes {lacking:,} layer{plural} that this LoRA lacks"


def _concentration(method: KLora, here: LoraInfo, there: LoraInfo, mine: int, other: int) -> Iterator[str]:
    """What the scores favour beside size: changes that sit in few large entries."""
    part = [_part(method, lora) for lora in (mine, other)]
    if part[1] < _DENSER * part[0]:
        return
    ranks = [
        sorted(slot.ranks[lora] for slot in method.evidence)[len(method.evidence) // 2]
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


def _part(method: KLora, lora: int) -> float:
    total = math.fsum(slot.l1[lora] for slot in method.evidence if slot.l1)
    return math.fsum(slot.scores[lora] for slot in method.evidence if slot.l1) / total if total else 0.0


def _remedy(method: KLora, role: str, share: float, xs: Sequence[float]) -> str:
    even = balance_for(method.rhos, method.schedule, xs)
    if share >= 0.5 - _SHARE or even is None:
        lean = "positive" if role == STYLE else "negative"
        return f"If it is still too little, use a more {lean} balance."
    reached = style_share(method.rhos, replace(method.schedule, balance=even), xs)
    if abs(reached - 0.5) <= _SHARE:
        return f"With balance {even:+g} both would have half."
    return f"With balance {even:+g} it would have {reached if role == STYLE else 1 - reached:.0%}."


def _other(role: str) -> str:
    return SUBJECT if role == STYLE else STYLE
