"""What LoRAs hold that is not used, in words: the one teller of every door."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..files import Left, What, grouped
from ..plan import Note

_NAMES = 4


def left_out(
    who: str, left: Iterable[Left], fate: str = "NOT applied", text_reason: str | None = None
) -> list[Note]:
    """A sentence for each kind of thing that is left of ``who``, with the reason and some names.

    ``fate`` is what becomes of it; ``text_reason`` says why text encoders are left, where that is not their
    own reason.
    """
    lines = []
    for (what, reason), names in grouped(left).items():
        about = f"{who}: {what.counted(len(names))}, {fate}"
        why = text_reason or reason if what is What.TEXT else reason
        # What is missing says so by its name.
        lines.append(": ".join((about, *(() if what is What.MISSING else (why,)), abbreviated(names))))
    return [Note(line, applied=False) for line in lines]


def abbreviated(names: Sequence[str]) -> str:
    """A list of names for a sentence: the first few, then how many more."""
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"
