"""What the picks say: which rule was liked best, what a round has to beat, and what is taken in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import KLoraError
from .rules import Rule, learned_for
from .text import Pick, Picks

NOTHING = (
    "Where no picture is worth a pick, try other trigger words in the prompt, other rules, or LoRAs that "
    "were trained longer."
)


@dataclass(frozen=True)
class Course:
    """What each round shows side by side, round 1 first, none where it shows all rules; and what was liked
    more in the newest of those that compare, None where none did."""

    shown: tuple[tuple[Rule, ...], ...]
    champion: Rule | None


def course(picks: Picks, rules: Sequence[Rule], liked: int = 0) -> Course:
    """How it went. ``liked`` is how many pictures were given beside the picks.

    From the first round after a pick on, what is learned for it stands beside the best rule, and beside what
    was liked more in the rounds before if that is another: a further round never costs what an earlier gave.
    """
    champion: Rule | None = None
    rounds: list[tuple[Rule, ...]] = []
    for round in range(1, picks.round + 1):
        before = picks.before(round)
        if round == 1 or not (before or liked):
            rounds.append(())
            continue
        rivals = [learned_for(round), best_rule(before, rules), *([champion] if champion else [])]
        shown = tuple(dict.fromkeys(rivals))
        rounds.append(shown)
        counted = Counter(pick.rule for pick in picks.of(round))
        if any(counted[rule] for rule in shown):
            # Of equals what was learned, and of these the earlier.
            champion = max(shown, key=lambda rule: (counted[rule], rule.is_learned, -_age(rule)))
    return Course(tuple(rounds), champion)


def best_rule(picks: Sequence[Pick], rules: Sequence[Rule]) -> Rule:
    """The rule with the most picks; of equal ones that whose kind has more, then the first of ``rules``.

    What was learned is no rule; without picks of any the first is.
    """
    by_rule = Counter(pick.rule for pick in picks if not pick.rule.is_learned)
    by_family = Counter(rule.family for rule in by_rule.elements())
    order = [*rules, *(rule for rule in by_rule if rule not in rules)]
    return max(order, key=lambda rule: (by_rule[rule], by_family[rule.family], -order.index(rule)))


def result(picks: Picks, rules: Sequence[Rule], liked: int = 0) -> Rule:
    """What is taken: what was asked for by its name, else what was liked more, else what all picks teach.

    Raises KLoraError where nothing was picked.
    """
    if picks.result is not None and not picks.result.is_learned:
        return picks.result
    if not picks.picks and not liked:
        raise KLoraError(f"nothing is picked yet. {NOTHING}", "Pick pictures before you take")
    champion = course(picks, rules, liked).champion
    newest = learned_for(max(2, picks.round + bool(picks.of(picks.round))))
    return picks.result or champion or newest


def counts(picks: Sequence[Pick]) -> list[tuple[Rule, int]]:
    """How often each rule was picked, the most often first."""
    return Counter(pick.rule for pick in picks).most_common()


def _age(rule: Rule) -> int:
    return rule.round if rule.is_learned else 0
