"""The text that says how strongly a LoRA works in which blocks, and what it says of a layer."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from ...errors import KLoraError, printable
from ..slots import block
from .halves import PRESETS, in_half

EVERYWHERE = "all"
MOST, MOST_DIGITS = 10.0, 9
# What people call a block that the map has another word for.
_ALSO = {"middle": "mid"}
_ENTRY = re.compile(r"(?P<name>.*?)\s*(?P<first>\d+)\s*(?:-\s*(?P<last>\d+))?", re.DOTALL)
_WRITE = "Write a block of the map and its strength, such as up 1-3: 0.5"


@dataclass(frozen=True)
class Entry:
    """Blocks with one strength: a stage (``up``), one of its blocks or a range of them, or all there are.

    ``first`` and ``last`` are the blocks' numbers, None without any.
    """

    name: str
    strength: float
    first: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        """As the map writes it: ``up 1-3``."""
        if self.first is None:
            return self.name
        return f"{self.name} {self.first}" + (f"-{self.last}" if self.last != self.first else "")

    def has(self, group: str, own: str) -> bool:
        """Whether a block, by its stage and its name, is one of these."""
        group, own = group.lower(), own.lower()
        if self.first is None or self.last is None:
            return self.name in (EVERYWHERE, group, own)
        # Blocks beside the stages may end in a digit: mlp1.
        if own == f"{self.name}{self.first}" and self.first == self.last:
            return True
        stage, _, number = own.rpartition(" ")
        return stage == self.name and number.isdigit() and self.first <= int(number) <= self.last

    @property
    def width(self) -> float:
        """How much it names at once: of two that name a block the narrower holds."""
        if self.first is None or self.last is None:
            return math.inf if self.name == EVERYWHERE else 1e9
        return self.last - self.first


@dataclass(frozen=True)
class BlockStrengths:
    """What a text says: a half of a network by name (``preset``), or ``entries``; nothing: 1 everywhere.

    Of two entries that name a block the narrower holds, whatever their order.
    """

    text: str = ""
    entries: tuple[Entry, ...] = ()
    preset: str = ""

    def of(self, name: str) -> float:
        """The strength in a slot, 1 where nothing is said of it."""
        if self.preset:
            return 1.0 if in_half(name, self.preset) else 0.0
        if not self.entries:
            return 1.0
        group, own = block(name)
        # Those are in order, the narrowest first.
        return next((entry.strength for entry in self.entries if entry.has(group, own)), 1.0)


@lru_cache(maxsize=256)
def strengths_of(text: str) -> BlockStrengths:
    """What ``text`` says: entries such as ``down 1-3: 0, mid: 0.5``, or a preset (``content``, ``style``).

    Raises KLoraError for a text that is neither.
    """
    parts = [found for part in re.split("[,;\n]", text) if (found := " ".join(part.split()))]
    if len(parts) == 1 and (preset := parts[0].lower()) in PRESETS:
        return BlockStrengths(preset, preset=preset)
    entries = [_entry(part) for part in parts]
    for number, one in enumerate(entries):
        for other in entries[:number]:
            if one.strength != other.strength and _equal_claims(one, other):
                raise KLoraError(
                    f"blocks: {other}: {other.strength:g} and {one}: {one.strength:g} name a block twice.",
                    "Name each block once",
                )
    return BlockStrengths(", ".join(parts), tuple(sorted(entries, key=lambda entry: entry.width)))


def _equal_claims(one: Entry, other: Entry) -> bool:
    if one.name != other.name or one.width != other.width:
        return False
    if one.first is None or other.first is None or one.last is None or other.last is None:
        return True
    return one.first <= other.last and other.first <= one.last


def _entry(text: str) -> Entry:
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if text.lower() in PRESETS:
        raise KLoraError(f"blocks: {text} is a preset.", "Write nothing beside it, or blocks by their names")
    if not colon or not name:
        raise KLoraError(f"blocks: {printable(text)!r} has no strength.", _WRITE)
    try:
        strength = float(value)
    except ValueError:
        strength = math.nan
    if not abs(strength) <= MOST:
        raise KLoraError(
            f"blocks: the strength of {printable(name)} is {printable(value)!r}.",
            f"Give a number from -{MOST:g} to {MOST:g}",
        )
    return _named(name.lower(), strength)


def _named(name: str, strength: float) -> Entry:
    found = _ENTRY.fullmatch(name)
    if found is None or not found["name"]:
        return Entry(_ALSO.get(name, name), strength)
    first, last = (_number(found[which] or found["first"]) for which in ("first", "last"))
    if last < first:
        raise KLoraError(f"blocks: {printable(name)} goes down.", f"Write {found['name']} {last}-{first}")
    return Entry(found["name"], strength, first, last)


def _number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise KLoraError(f"blocks: there is no block {printable(digits)}.", "Give a number of the map's")
    return int(digits)
