"""What LoRAs hold that is not used, in words: the one teller of every door."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..files import Left, What, grouped
from ..loras import OTHER, STYLE, SUBJECT
from ..methods import ALWAYS, METHODS, Method, When
from ..plan import Note

_NAMES = 4


def left_out(
    who: str,
    left: Iterable[Left],
    fate: str = "NOT applied",
    text_reason: str | None = None,
    text_names: bool = True,
) -> list[Note]:
    """A sentence for each kind of thing that is left of ``who``, with the reason and some names.

    ``fate`` is what becomes of it; ``text_reason`` says why text encoders are left, where that is not their
    own reason, ``text_names`` whether their layers are named: no help where all of them can be applied.
    """
    notes = []
    for (what, reason), names in grouped(left).items():
        is_text = what is What.TEXT
        parts = [f"{who}: {what.counted(len(names))}, {fate}"]
        # What is missing says so by its name.
        if what is not What.MISSING:
            parts.append(text_reason or reason if is_text else reason)
        if text_names or not is_text:
            parts.append(abbreviated(names))
        notes.append(Note(": ".join(parts) + ("." if is_text and not text_names else ""), applied=False))
    return notes


def not_followed(
    method: Method, labels: Sequence[str], roles: Sequence[str], when: Sequence[When]
) -> Iterator[Note]:
    """A sentence for each LoRA whose start, end and curve a plan does not follow."""
    by_hand = " or ".join(name for name, entry in METHODS.items() if entry.method.follows_when)
    for label, role, own in zip(labels, roles, when, strict=True):
        if own == ALWAYS or (method.follows_when and role != OTHER):
            continue
        reason = f"{method.name} says when a LoRA works: choose the method {by_hand}"
        if method.follows_when:
            reason = f"a LoRA of the role {OTHER} works all the time: give it the role {SUBJECT} or {STYLE}"
        yield Note(f"{label}: start, end and curve, NOT applied: {reason}.", applied=False)


def abbreviated(names: Sequence[str]) -> str:
    """A list of names for a sentence: the first few, then how many more."""
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"
