"""What rounds are worth: joint scores by rule, and how varied pictures are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np


def by_rule(shown: list[dict[str, Any]]) -> dict[str, float]:
    """Mean joint score of each rule's pictures."""
    found = defaultdict(list)
    for picture in shown:
        found[picture["rule"]].append(picture["both"])
    return {rule: float(np.mean(each)) for rule, each in found.items()}


def rows(cells: list[dict[str, Any]]) -> Iterator[tuple[str, list[float]]]:
    """(what, joint score by cell) of a world."""
    rules = [by_rule(cell["rules"]) for cell in cells]
    second, third = ([by_rule(cell[name]) for cell in cells] for name in ("second", "third"))
    single = max(rules[0], key=lambda rule: np.mean([each[rule] for each in rules]))
    yield f"best single rule: {single}", [each[single] for each in rules]
    yield "best rule of each pair, in hindsight", [max(each.values()) for each in rules]
    picked = [next(rule for rule in each if not rule.startswith("learned")) for each in second]
    yield "rule that was picked most", [each[rule] for each, rule in zip(second, picked, strict=True)]
    yield "learned, one round", [each["learned 2"] for each in second]
    taken = [cell["taken"] for cell in cells]
    yield "taken then, noises of round 3", [each[rule] for each, rule in zip(third, taken, strict=True)]
    yield "learned, two rounds, the same noises", [each["learned 3"] for each in third]


def share(spread: dict[str, float]) -> float:
    """How varied what was learned is, of the rule's beside it."""
    return spread["learned 2"] / next(value for rule, value in spread.items() if rule != "learned 2")
