"""What LoRAs hold that is not used, in words: the one teller of every door."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..files import Left, What, grouped
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


def abbreviated(names: Sequence[str]) -> str:
    """A list of names for a sentence: the first few, then how many more."""
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"
