"""The answers as GPU.md. Needs no host and no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .rows import FAILED, MISSED, OK, SKIPPED, TOLD
from .runner import Answer

_NOTES = (
    "`ok` and `FAILED`: right or wrong (a check that came to no answer has failed); `missed`: right, and "
    "short of an aim; no verdict: told, without an aim.",
    "Ratios of times are medians with quartiles, taken within a round of one process. All models have the "
    "real ones' shapes and random weights.",
    "Latents are compared by the norm of their difference over that of the reference.",
)


def failed(answers: Sequence[Answer]) -> bool:
    """Whether anything failed."""
    return any(row.verdict == FAILED for answer in answers for row in answer.rows.values())


def summary(answers: Sequence[Answer]) -> str:
    """How many rows have each verdict."""
    counts = Counter(row.verdict for answer in answers for row in answer.rows.values())
    names = ((OK, "ok"), (MISSED, "missed"), (FAILED, "FAILED"), (SKIPPED, "skipped"), (TOLD, "told"))
    return ", ".join(f"{counts[verdict]} {name}" for verdict, name in names)


def markdown(facts: dict[str, str], answers: Sequence[Answer], took: float) -> str:
    """The whole page."""
    machine = "; ".join(f"{name} {value}" for name, value in facts.items())
    lines = [
        "# On a GPU",
        "",
        "Made by `make bench-gpu`.",
        "",
        f"{machine}. {took:.0f} s; {summary(answers)}.",
        "",
    ]
    lines += [section(answer) for answer in answers]
    return "\n".join([*lines, *(f"- {note}" for note in _NOTES)]) + "\n"


def section(answer: Answer) -> str:
    """One check's rows as a table."""
    lines = [f"## {answer.check.asks}", "", "| what | found | aim | verdict |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in answer.rows.values()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
