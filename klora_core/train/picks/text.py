"""What a person picked, as the text of one widget: all that Pick and Learn knows of it.

A line each, in the order in which it was done; empty lines and lines that begin with # say nothing:

    1, sum 0.7, 12, 4             a picture that was picked: round, rule, noise seed, its place on the sheet
    1, K-LoRA s -0.5, 14, 31
    more                          learn from all picks so far, and show the next round
    2, learned 2, 1013, 7         "learned 2": what was learned for round 2, from the picks of round 1
    take                          the result is what was liked more in the newest round that has picks, and
                                  what all picks teach where nothing learned was shown yet
    take sum 0.7                  the result is this rule; "take learned 2" likewise

A line less unpicks. Round 1 is shown first, and each ``more`` shows one more. ``take`` is the last line: what
is done after it is done without it. Round, rule and noise seed say which picture it is; its place is for
people, and may be left out. A text is read alike whoever wrote it, the page, a saved workflow or an API
call; nothing is kept anywhere else, so that the same text shows the same pictures and learns the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import KLoraError
from .rules import Rule, parse_rule

MORE, TAKE = "more", "take"
_COMMENT = "#"
_EXAMPLE = "1, sum 0.7, 12, 4"
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF
_DIGITS = len(str(LARGEST_SEED))


@dataclass(frozen=True)
class Pick:
    """A picture that was picked: of which round, by which rule, from which noise.

    ``place`` is where it stood on its sheet, from 1 on, 0 where nobody said; it decides nothing.
    """

    round: int
    rule: Rule
    seed: int
    place: int = field(default=0, compare=False)

    def line(self) -> str:
        """As it stands in the text."""
        said = f"{self.round}, {self.rule.name}, {self.seed}"
        return f"{said}, {self.place}" if self.place else said


@dataclass(frozen=True)
class Picks:
    """All that was picked, the ``round`` that is shown, and whether the result is ``taken``.

    ``result`` is the rule that was asked for by its name, None: whichever was liked more.
    """

    picks: tuple[Pick, ...] = ()
    round: int = 1
    taken: bool = False
    result: Rule | None = None

    def before(self, round: int) -> tuple[Pick, ...]:
        """Those of earlier rounds."""
        return tuple(pick for pick in self.picks if pick.round < round)

    def of(self, round: int) -> tuple[Pick, ...]:
        """Those of one round."""
        return tuple(pick for pick in self.picks if pick.round == round)

    def text(self) -> str:
        """The text that reads back equal: each round's picks, and ``more`` after each but the last."""
        lines = [pick.line() for pick in self.of(1)]
        for number in range(2, self.round + 1):
            lines += [MORE, *(pick.line() for pick in self.of(number))]
        if self.taken:
            lines.append(TAKE if self.result is None else f"{TAKE} {self.result.name}")
        return "\n".join(lines)


def parse_picks(text: str) -> Picks:
    """The picks of a widget's ``text``. Raises KLoraError, in one line, for what is none."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_COMMENT)]
    rounds = 1 + lines.count(MORE)
    taken, result = False, None
    picks: dict[Pick, None] = {}
    for number, line in enumerate(lines):
        word, _, rest = line.partition(" ")
        if line == MORE:
            continue
        if word == TAKE:
            if number + 1 < len(lines):
                raise KLoraError(
                    "after it nothing is learned.", f"Put {line!r} last in picks, or leave it out"
                )
            taken, result = True, _result(line, rest, rounds) if rest else None
            continue
        picks[_pick(line, rounds)] = None
    return Picks(tuple(picks), rounds, taken, result)


def _pick(line: str, rounds: int) -> Pick:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) not in (3, 4):
        raise KLoraError(
            f"a pick is round, rule, seed and its place, such as {_EXAMPLE!r}; the other lines are "
            f"{MORE} and {TAKE}.",
            f"Take {line!r} out of picks",
        )
    round_, seed = _whole(line, "round", parts[0], 1), _whole(line, "seed", parts[2], 0)
    place = _whole(line, "place", parts[3], 1) if len(parts) == 4 else 0
    if round_ > rounds:
        raise KLoraError(
            f"round {round_} is not shown yet, the newest is {rounds}.",
            f"Take {line!r} out of picks, or add a line {MORE} before it",
        )
    if seed > LARGEST_SEED:
        raise KLoraError(f"no seed is larger than {LARGEST_SEED}.", f"Take {line!r} out of picks")
    return Pick(round_, _rule(line, parts[1], round_, round_), seed, place)


def _result(line: str, name: str, rounds: int) -> Rule:
    # Of the newest round that is shown, or in round 1 of its picks.
    return _rule(line, name, max(2, rounds), rounds + 1)


def _rule(line: str, name: str, usual: int, newest: int) -> Rule:
    try:
        rule = parse_rule(name, usual)
    except KLoraError as error:
        raise KLoraError(error.in_list, f"Take {line!r} out of picks") from None
    if rule.is_learned and rule.round > newest:
        raise KLoraError(f"{rule.name} is learned later than that.", f"Take {line!r} out of picks")
    return rule


def _whole(line: str, what: str, text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS) or int(text) < least:
        raise KLoraError(
            f"its {what} must be a whole number from {least} on, got {text!r}.", f"Take {line!r} out of picks"
        )
    return int(text)
