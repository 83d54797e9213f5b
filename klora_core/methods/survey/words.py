"""A survey in words: what all pairs have in common, which to look at, who can't be paired, and the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...loras import STYLE, SUBJECT
from ...names import words_of
from ..klora import KLora, formula
from .apart import lines_apart
from .pairs import ALIKE, LOST_SUBJECT, WEAK_STYLE, FileInfo, Survey, Way
from .table import table

_MOST = 10
_CLOCK = 0.8


def text(survey: Survey) -> str:
    """The report, lines joined by newlines, none at the end."""
    sections = (
        [heading(survey), *_overall(survey)],
        _hurt(survey, STYLE, f"style likely too late or too weak, less than {WEAK_STYLE:.0%} of the cells"),
        _hurt(survey, SUBJECT, f"subject likely lost, less than {LOST_SUBJECT:.0%} of the cells"),
        _alike(survey),
        _list("Can't be paired", [*survey.refused, *lines_apart(survey)]),
        _list("Not applied", survey.notes),
        _files(survey),
        table(survey),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def heading(survey: Survey) -> str:
    """What was looked at, and with which settings."""
    settings = survey.settings
    said = [
        _count(len(survey.columns), "step"),
        f"schedule {formula(settings.schedule)}",
        f"gamma {settings.gamma}",
        f"layers {settings.layers}",
        f"score {settings.score}",
    ]
    found = f"{_count(len(survey.files), 'LoRA')}, {_count(len(survey.pairs), 'pair')}"
    return f"{KLora.name}: {found}, each both ways; {', '.join(said)}."


def _overall(survey: Survey) -> list[str]:
    ways = list(survey.ways)
    if not ways:
        return ["No two of them can be paired."]
    never = len(survey.columns) + 1
    half = [way.handover.half or never for way in ways]
    change = [way.handover.change.share for way in ways]
    lines = [
        f"The style has half of the layers by {_range(half, lambda number: _step(number, never))}.",
        f"One change of all layers at one moment is {_range(change, '{:.0%}'.format)} of what is chosen.",
    ]
    if overlaps := [pair.overlap for pair in survey.pairs if pair.overlap is not None]:
        lines.append(f"Two changes overlap by {_range(overlaps, '{:.2g}'.format)} (mean |cos| of a layer).")
    # Where one LoRA works throughout, there is no moment to speak of.
    changing = [way for way in ways if 0 < way.handover.change.after < len(survey.columns)]
    if 2 * len(changing) >= len(ways) and float(np.median(change)) >= _CLOCK:
        lines.append(
            "So WHEN the style takes over matters more here than WHERE: `balance` moves that moment for all "
            "layers."
        )
    return lines


def _range(values: Sequence[float], show: Callable[[float], str]) -> str:
    """The median, and where nine in ten lie."""
    low, middle, high = np.percentile(values, [5, 50, 95], method="nearest")
    return show(middle) if low == high else f"{show(middle)} ({show(low)} to {show(high)} in nine of ten)"


def _step(number: float, never: int) -> str:
    return "never" if number >= never else f"step {number:.0f}"


def _hurt(survey: Survey, role: str, what: str) -> list[str]:
    ways = list(survey.ways)
    found = sorted((way for way in ways if way.likely_hurt == role), key=lambda way: way.share)
    if not ways:
        return []
    # The worst first: of the style's share the least, of the subject's as well.
    found = found if role == STYLE else found[::-1]
    lines = [f"{what[0].upper()}{what[1:]}: {len(found)} of {len(ways)}{':' if found else ''}"]
    return lines + _some([_advice(way, survey, role) for way in found])


def _advice(way: Way, survey: Survey, role: str) -> str:
    names = [survey.files[number].name for number in (way.subject, way.style)]
    share = way.share if role == STYLE else 1 - way.share
    half = way.handover.half
    by = "never half of the layers" if half is None else f"half of the layers by step {half}"
    return (
        f"{names[0]} in the style of {names[1]}: the {role} has {share:.0%}, the style {by}; balance "
        f"{way.even:+g} is next to half and half"
    )


def _alike(survey: Survey) -> list[str]:
    found = [pair for pair in survey.pairs if pair.overlap is not None and pair.overlap >= ALIKE]
    names = [file.name for file in survey.files]
    lines = [
        f"{names[pair.one]} and {names[pair.other]}: overlap {pair.overlap:.2f}"
        for pair in sorted(found, key=lambda pair: -(pair.overlap or 0))
    ]
    return ["Much the same change, so that there is little to choose:", *_some(lines)] if lines else []


def _some(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - _MOST} more: see the table"] if len(lines) > _MOST else []
    return [f"  {line}" for line in [*lines[:_MOST], *more]]


def _list(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def _files(survey: Survey) -> list[str]:
    return _list("Files", [f"{i:>3}  {_file(file)}" for i, file in enumerate(survey.files, 1)])


def _file(file: FileInfo) -> str:
    low, high = file.ranks
    base = f"{words_of(file.base)} LoRA, " if file.base else ""
    ranks = f"{low}" if low == high else f"{low} to {high}"
    return f"{file.name} ({base}{_count(file.layers, 'layer')}, rank {ranks})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
