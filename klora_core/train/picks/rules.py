"""The rules whose pictures a sheet shows, by the names that people write: ``sum 1/0.6``, ``K-LoRA s -0.3``.

A rule is a merge of the LoRAs to one (a plain sum, NP-LoRA, ...), a method over time (K-LoRA, Arrow, ...),
``calibrated``, which needs a pass over the model, or what was ``learned`` from picks for a round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...deltas.gates import TOTALS
from ...errors import KLoraError
from ...loras import OTHER, STYLE, SUBJECT
from ...merges import METHODS as MERGES
from ...merges import MergeMethod, Value, named
from ...methods import DEFAULT_MU, METHODS, Make, NpLora, making
from ...methods.gates import ArrowRouting, TrainedGate
from ...methods.klora import LOSERS, SCHEDULES, KLora

SUM, CALIBRATED, LEARNED = "sum", "calibrated", "learned"
_NP_LORA, _ARROW = NpLora.name, ArrowRouting.name
_LINEAR = named("linear")
SUMS = (0.7, 0.5, 1.0)
UNEVEN = ((1.0, 0.5), (0.5, 1.0), (0.8, 0.5))
KLORAS = (("s", 0.0), ("s", -0.2), ("s outside", 0.0), ("s*", 0.0))
"""Schedule and balance, by the tenths that matter on real LoRAs (docs/WHAT_IT_DECIDES.md). outside: the loser
works, too, outside of the winner's inputs: in bench/QUALITY.md the best rule of LoRAs trained as usual."""


class AsMerge(NamedTuple):
    """A merge, its parameters, and how strong each LoRA is in it beside its own strength."""

    method: MergeMethod
    values: Mapping[str, Value]
    strengths: tuple[float, ...] = (1.0,)

    def at(self, count: int) -> tuple[float, ...]:
        """The strengths of ``count`` LoRAs."""
        return self.strengths * count if len(self.strengths) == 1 else self.strengths


@dataclass(frozen=True)
class Rule:
    """One rule: its ``name`` in full, of which ``family`` it is, and what it is there told.

    For learned LoRAs ``numbers`` is the round for which they were learned.
    """

    name: str
    family: str
    numbers: tuple[float, ...] = ()
    choice: str = ""

    @property
    def is_learned(self) -> bool:
        """Whether it was learned from picks."""
        return self.family == LEARNED

    @property
    def is_calibrated(self) -> bool:
        """Whether it is worked out by a pass over the model."""
        return self.family == CALIBRATED

    @property
    def round(self) -> int:
        """For which round a learned LoRA was learned: from the picks of those before it."""
        return int(self.numbers[0])

    @property
    def strengths(self) -> tuple[float, ...]:
        """Those of a plain sum, one for all LoRAs or one for each; of other rules none."""
        return self.numbers if self.family == SUM else ()

    def as_merge(self) -> AsMerge | None:
        """What makes one LoRA of all, for rules that do."""
        if self.family == SUM:
            return AsMerge(_LINEAR, {}, self.numbers)
        if self.family == _NP_LORA:
            return AsMerge(named("np-lora"), {"mu": self.numbers[0]})
        found = next((method for method in MERGES if method.label == self.family), None)
        return None if found is None else AsMerge(found, {})

    def over_time(self) -> Make | None:
        """What makes a method over time, for rules that are one."""
        if self.family == KLora.name:
            schedule, _, loser = self.choice.partition(" ")
            return making.klora(schedule, balance=self.numbers[0], loser=loser or LOSERS[0])
        if self.family == _ARROW:
            return making.arrow(total=self.choice)
        if self.family in METHODS and self.as_merge() is None:
            return METHODS[self.family].make()
        return None

    @property
    def is_lora(self) -> bool:
        """Whether it gives one ordinary LoRA."""
        return self.is_learned or self.is_calibrated or self.as_merge() is not None

    def check(self, roles: Sequence[str]) -> None:
        """Raises KLoraError where LoRAs of these ``roles``, all of which take part, can't be put so."""
        if len(self.strengths) > 1 and len(self.strengths) != len(roles):
            raise KLoraError(
                f"{self.name} has {len(self.strengths)} strengths for {len(roles)} LoRAs.",
                "Give one strength for each LoRA, or one for all",
            )
        if self.family in (KLora.name, _NP_LORA) and not {SUBJECT, STYLE} <= set(roles):
            raise KLoraError(f"{self.name} needs a subject and a style LoRA.", "Set roles in LoRA Set")


def learned_for(round: int) -> Rule:
    """What is learned for a round from the picks of the rounds before it."""
    return Rule(f"{LEARNED} {round}", LEARNED, (round,))


def parse_rule(text: str, round: int = 0) -> Rule:
    """The rule of a name; ``learned`` alone is that for ``round``. Raises KLoraError with those there are."""
    words = text.split()
    for family, parse in _PARSE.items():
        if words and words[0].casefold() == family.casefold():
            return parse(text, words[1:], round)
    whole = " ".join(words).casefold()
    for name in (*METHODS, *(method.label for method in MERGES)):
        if name.casefold() == whole and name not in _NOT_OFFERED:
            return Rule(name, name)
    raise KLoraError(f"{text!r} is no rule.", _EXAMPLES)


def parse_rules(text: str, roles: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of a text, one a line or with commas between, for LoRAs of ``roles``; empty: the usual ones.

    Raises KLoraError for what is none, or does not fit the LoRAs.
    """
    names = [name.strip() for line in text.splitlines() for name in line.split(",")]
    rules = dict.fromkeys(parse_rule(name, 2) for name in names if name)
    if not rules:
        return usual(roles)
    for rule in rules:
        if rule.is_learned:
            raise KLoraError("it is shown from round 2 on by itself.", f"Take {rule.name!r} out of rules")
        rule.check(roles)
    return tuple(rules)


def usual(roles: Sequence[str]) -> tuple[Rule, ...]:
    """A wide sheet: thirteen rules for a subject and a style, of which those that need both are left out
    where there is none of one; for N LoRAs each is in turn stronger, and weaker, than the others."""
    count = len(roles)
    if count == 1:
        return tuple(_sum((strength,)) for strength in (*SUMS, 0.85, 0.4, 0.6))
    sums = [(strength,) for strength in SUMS] + _uneven(count)
    rules = [_sum(strengths) for strengths in sums]
    if {SUBJECT, STYLE} <= set(roles):
        rules += [_klora(schedule, balance) for schedule, balance in KLORAS]
        rules.append(_np_lora(DEFAULT_MU))
    return (*rules, _arrow(TOTALS[1]), Rule(CALIBRATED, CALIBRATED))


def taking_part(roles: Sequence[str]) -> tuple[int, ...]:
    """Which LoRAs a sheet is of: all but those of the role ``other``, which work beside it."""
    return tuple(i for i, role in enumerate(roles) if role != OTHER)


def _uneven(count: int) -> list[tuple[float, ...]]:
    if count == 2:
        return list(UNEVEN)
    # Of many LoRAs those sums alone where one leads.
    return [tuple(1.0 if i == leads else 0.5 for i in range(count)) for leads in range(min(count, 4))]


def _sum(strengths: tuple[float, ...]) -> Rule:
    return Rule(f"{SUM} {'/'.join(f'{strength:g}' for strength in strengths)}", SUM, strengths)


def _klora(choice: str, balance: float) -> Rule:
    schedule, _, loser = choice.partition(" ")
    return Rule(f"{KLora.name} {schedule} {balance:g} {loser}".rstrip(), KLora.name, (balance,), choice)


def _np_lora(mu: float) -> Rule:
    return Rule(f"{_NP_LORA} {mu:g}", _NP_LORA, (mu,))


def _arrow(total: str) -> Rule:
    return Rule(f"{_ARROW} {total}", _ARROW, (), total)


def _parse_sum(text: str, words: Sequence[str], round: int) -> Rule:
    values = words[0].split("/") if len(words) == 1 else []
    if not values:
        raise KLoraError(f"{text!r} is no sum.", "Write its strengths, such as 'sum 0.7' or 'sum 1/0.6'")
    strengths = tuple(_number(text, value, -10, 10) for value in values)
    if not any(strengths):
        raise KLoraError(f"{text!r} has all LoRAs off.", "Give one LoRA a strength")
    return _sum(strengths)


def _parse_klora(text: str, words: Sequence[str], round: int) -> Rule:
    outside = [LOSERS[1]] if words[-1:] == [LOSERS[1]] else []
    told = words[: len(words) - len(outside)]
    if not told or told[0] not in SCHEDULES or len(told) > 2:
        raise KLoraError(
            f"{text!r} is no K-LoRA.",
            f"Write its schedule and balance, such as 'K-LoRA s -0.3', and {LOSERS[1]!r} at the end "
            "where the loser is to work there",
        )
    return _klora(" ".join([told[0], *outside]), _number(text, told[1], -1, 1) if len(told) == 2 else 0.0)


def _parse_np_lora(text: str, words: Sequence[str], round: int) -> Rule:
    if len(words) > 1:
        raise KLoraError(f"{text!r} is no NP-LoRA.", "Write its mu alone, such as 'NP-LoRA 0.5'")
    return _np_lora(_number(text, words[0], 0, 20) if words else DEFAULT_MU)


def _parse_arrow(text: str, words: Sequence[str], round: int) -> Rule:
    total = words[0] if words else TOTALS[1]
    if total not in TOTALS or len(words) > 1:
        raise KLoraError(f"{text!r} is no Arrow.", f"Write what its weights sum to, {' or '.join(TOTALS)}")
    return _arrow(total)


def _parse_calibrated(text: str, words: Sequence[str], round: int) -> Rule:
    if words:
        raise KLoraError(f"{text!r} is no rule.", f"Write {CALIBRATED!r} alone")
    return Rule(CALIBRATED, CALIBRATED)


def _parse_learned(text: str, words: Sequence[str], round: int) -> Rule:
    number = round if not words else int(words[0]) if len(words) == 1 and _is_round(words[0]) else 0
    if number < 2:
        raise KLoraError(
            f"{text!r} was not learned yet.", "Write 'learned 2' for what the picks of round 1 teach"
        )
    return learned_for(number)


def _is_round(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 6


def _number(text: str, word: str, low: float, high: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise KLoraError(f"{text!r} is no rule: {word!r} must be a number from {low:g} to {high:g}.")
    # No two names for one rule: -0 is 0, and no more digits than a name shows.
    return float(f"{value:g}") + 0.0


_PARSE: dict[str, Callable[[str, Sequence[str], int], Rule]] = {
    SUM: _parse_sum,
    KLora.name: _parse_klora,
    _NP_LORA: _parse_np_lora,
    _ARROW: _parse_arrow,
    CALIBRATED: _parse_calibrated,
    LEARNED: _parse_learned,
}
# The plain sum by other names, and a gate that is a file of its own.
_NOT_OFFERED = (_LINEAR.label, TrainedGate.name)

_EXAMPLES = (
    "Write one such as 'sum 0.7', 'sum 1/0.6', 'K-LoRA s -0.3', 'K-LoRA s* 0', 'NP-LoRA 0.5', 'Arrow N', "
    "'calibrated', or the name of another method of Compose LoRAs or Merge LoRAs"
)
