"""Which pictures a round shows, and where: rule by rule and noise by noise, in an order that names nobody.

Round 1 shows each rule from the same few noises, all mixed. Once something was picked, a round shows what was
learned beside the best of before, from the same noise side by side, so that one sees whether it helped. A
picture is its rule and its noise seed: whoever makes it, and in which part of the sheet, it is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import KLoraError
from .liked import course
from .rules import Rule
from .text import LARGEST_SEED, Picks

# Between the noises of two rounds, so that no round shows a noise again.
BETWEEN = 1000
# Few rules leave room for more noises.
PAIRS = 2
ALL = "all"


@dataclass(frozen=True)
class Picture:
    """A picture of a round's sheet: its rule, its noise seed, and its place there from 1 on.

    Pictures of one ``group`` are shown side by side; 0: of none.
    """

    round: int
    rule: Rule
    seed: int
    place: int
    group: int = 0


@dataclass(frozen=True)
class Part:
    """A share of a sheet, for several servers to make one together: ``number`` of ``count``, from 1 on."""

    number: int = 1
    count: int = 1

    def of(self, pictures: Sequence[Picture]) -> tuple[Picture, ...]:
        """Its pictures."""
        return tuple(p for p in pictures if (p.place - 1) % self.count == self.number - 1)


def parse_part(text: str) -> Part:
    """``all``, or ``2 of 4``. Raises KLoraError for anything else."""
    words = text.split()
    if words in ([], [ALL]):
        return Part()
    if len(words) == 3 and words[1] == "of" and all(w.isascii() and w.isdigit() for w in words[::2]):
        number, count = (int(word[:6]) for word in words[::2])
        if 1 <= number <= count:
            return Part(number, count)
    raise KLoraError(f"got {text!r}.", f"Write {ALL!r} in part, or which of how many, such as '2 of 4'")


def seeds_of(round: int, seed: int, pictures: int) -> tuple[int, ...]:
    """The noise seeds of a round."""
    first = seed + BETWEEN * (round - 1)
    return tuple((first + number) & LARGEST_SEED for number in range(pictures))


def sheet(
    picks: Picks, rules: Sequence[Rule], seed: int, pictures: int, liked: int = 0
) -> tuple[Picture, ...]:
    """The pictures of the round that ``picks`` shows, in their places; ``pictures`` noises a rule.

    ``liked`` is how many pictures were given beside the picks.
    """
    round = picks.round
    shown = course(picks, rules, liked).shown[-1]
    if not shown:
        placed = [(rule, noise) for rule in rules for noise in seeds_of(round, seed, pictures)]
        placed.sort(key=lambda pair: _mixed(round, seed, *pair))
        return tuple(Picture(round, *pair, place) for place, pair in enumerate(placed, 1))
    placed, groups = [], []
    for number, noise in enumerate(seeds_of(round, seed, PAIRS * pictures), 1):
        side_by_side = sorted(shown, key=lambda rule: _mixed(round, seed, rule, noise))
        placed += [(rule, noise) for rule in side_by_side]
        groups += [number] * len(shown)
    return tuple(
        Picture(round, *pair, place, group)
        for place, (pair, group) in enumerate(zip(placed, groups, strict=True), 1)
    )


def _mixed(round: int, seed: int, rule: Rule, noise: int) -> bytes:
    return hashlib.blake2b(f"{round} {seed} {noise} {rule.name}".encode(), digest_size=8).digest()
