"""Who can't be paired with whom, in few lines and none left out."""

from __future__ import annotations

from collections import Counter

from ...names import words_of
from .pairs import Apart, FileInfo, Survey

_SHOWN = 3


def lines_apart(survey: Survey) -> list[str]:
    """A line for each LoRA that has no partner at all, for two base models that keep many apart, and for each
    other two."""
    partners = Counter(number for pair in survey.pairs for number in (pair.one, pair.other))
    reasons: dict[int, str] = {}
    for pair in survey.apart:
        for number in (pair.one, pair.other):
            reasons.setdefault(number, pair.reason)
    alone = [number for number in reasons if not partners[number]]
    names = [file.name for file in survey.files]
    lines = [
        f"{names[number]}: with none of the others: {reasons[number].removeprefix(f'{names[number]}: ')}"
        for number in sorted(alone)
    ]
    left = [pair for pair in survey.apart if not {pair.one, pair.other} & set(alone)]
    bases: dict[frozenset[str], list[Apart]] = {}
    for pair in left:
        if (both := _two_bases(survey, pair)) is not None:
            bases.setdefault(both, []).append(pair)
        else:
            lines.append(f"{names[pair.one]} and {names[pair.other]}: {pair.reason}")
    return [*lines, *(_of_bases(survey, both) for both in bases.values())]


def _two_bases(survey: Survey, pair: Apart) -> frozenset[str] | None:
    one, other = survey.files[pair.one].base, survey.files[pair.other].base
    return frozenset((str(one), str(other))) if one and other and not one.fits(other) else None


def _of_bases(survey: Survey, pairs: list[Apart]) -> str:
    one, other = survey.files[pairs[0].one].base, survey.files[pairs[0].other].base
    sides = []
    for base in (one, other):
        files = [
            survey.files[number]
            for number in sorted({number for pair in pairs for number in (pair.one, pair.other)})
            if str(survey.files[number].base) == str(base)
        ]
        sides.append(f"{words_of(base)} ({_named(files)})")
    return f"{' with '.join(sides)}, {len(pairs):,} pairs: they were trained on different base models."


def _named(files: list[FileInfo]) -> str:
    names = ", ".join(file.name for file in files[:_SHOWN])
    return names if len(files) <= _SHOWN else f"{names} and {len(files) - _SHOWN} more"
