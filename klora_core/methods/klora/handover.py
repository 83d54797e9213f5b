"""When the style takes over: a choice over layers and columns, told as one change of hands in time.

Under S a slot goes to the style once and for good; under S* the style may have led before. What counts here
is the last change: from it on the slot is the style's to the end.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...loras import STYLE, SUBJECT
from ...progress import Columns

PARTS = (0.05, 0.5, 0.95)


class OneChange(NamedTuple):
    """The single change of all slots at once that comes nearest to a choice.

    In the first ``after`` columns ``before`` works, then the other role; ``share`` is how much of the choice
    that is, of all cells (slots times columns). After 0 or all of the columns one role works throughout.
    """

    share: float
    after: int
    before: str


class Handover(NamedTuple):
    """``first``, ``half`` and ``last`` are the columns, from 1, by which 5, 50 and 95 % of the slots are the
    style's to the end, None where so many never are; ``at_end`` is the share of the slots that are in the
    last column, ``change`` the one change of hands next to the choice."""

    first: int | None
    half: int | None
    last: int | None
    at_end: float
    change: OneChange


def handover(style: np.ndarray) -> Handover:
    """Of the cells that are the style's, bool [slots, columns], one of each at least."""
    for_good = np.logical_and.accumulate(style[:, ::-1], axis=1)[:, ::-1].sum(axis=0)
    first, half, last = (_by(for_good, part * len(style)) for part in PARTS)
    return Handover(first, half, last, float(for_good[-1] / len(style)), one_change(style))


def _by(counts: np.ndarray, least: float) -> int | None:
    # Of few slots 5 % is one, and 95 % all of them.
    reached = np.flatnonzero(counts >= max(1, math.ceil(least - 1e-9)))
    return int(reached[0]) + 1 if len(reached) else None


def one_change(style: np.ndarray) -> OneChange:
    """The best of all single changes, in both directions; of equal ones the earliest from the subject."""
    slots, columns = style.shape
    counts = style.sum(axis=0)
    # Cells that agree with the subject before column t and the style from it on, for t = 0 .. columns.
    agreeing = np.concatenate(([0], np.cumsum(slots - counts))) + counts.sum()
    agreeing -= np.concatenate(([0], np.cumsum(counts)))
    best, worst = int(agreeing.argmax()), int(agreeing.argmin())
    total = slots * columns
    # The same change backwards agrees in all other cells.
    if total - agreeing[worst] > agreeing[best]:
        return OneChange(float(1 - agreeing[worst] / total), worst, STYLE)
    return OneChange(float(agreeing[best] / total), best, SUBJECT)


def in_words(found: Handover, columns: Columns) -> str:
    """``The style takes over between steps 4 and 20, half of the layers by step 11; ...``, a sentence."""
    change, total = found.change, len(columns)
    alone = {0: _other(change.before), total: change.before}.get(change.after)
    if alone:
        same = f"the {alone} alone, throughout,"
    else:
        turn = "" if change.before == SUBJECT else " to the subject"
        same = f"one change of all layers{turn} after {_name(change.after, columns)}"
    return f"{_when(found, columns)}; {same} would choose the same in {change.share:.0%} of the cells."


def _when(found: Handover, columns: Columns) -> str:
    first, half, last, at_end, _ = found
    if first is None:
        few = f", but for {at_end:.0%} of the layers at the end" if at_end else ""
        return f"The style takes over nowhere{few}"
    everything = "all layers" if at_end == 1 else "nearly all layers"
    if last == 1:
        return f"The style has {everything} from the beginning"
    if last == first:
        return f"The style takes over at {_name(last, columns)}, in {everything} at once"
    if half is None:
        return f"The style takes over from {_name(first, columns)} on, {at_end:.0%} of the layers by the end"
    by_half = f"half of the layers by {_name(half, columns)}"
    if last is None:
        return f"The style takes over from {_name(first, columns)} on, {by_half}, {at_end:.0%} by the end"
    return f"The style takes over between {between(first, last, columns)}, {by_half}"


def between(first: int, last: int, columns: Columns) -> str:
    """``steps 4 and 20``; parts of the way where columns are no steps."""
    if columns.are_steps:
        return f"steps {first} and {last}"
    return f"{_part(first, columns)} and {_part(last, columns)} of the way"


def _name(column: int, columns: Columns) -> str:
    return f"step {column}" if columns.are_steps else f"{_part(column, columns)} of the way"


def _part(column: int, columns: Columns) -> str:
    return f"{column / len(columns):.0%}"


def _other(role: str) -> str:
    return SUBJECT if role == STYLE else STYLE
