"""As scheduled: each LoRA where, when and as strongly as a person says, several of them at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...deltas import Delta, Digests, Row, Several
from ...errors import KLoraError
from ...loras import OTHER, labels_of
from ...progress import Moment
from ..method import NOBODY, Fact
from ..whole import Presence, Whole
from .course import MOST_SUMS, Course, Sum, on, restricted
from .cut import Cut, cut
from .when import ALWAYS, MOST_LEVELS, When

_FEWER = (MOST_LEVELS, 12, 8, 6, 4, 3, 2)


@dataclass(frozen=True)
class AsScheduled(Whole):
    """What is added to a slot is the sum of its LoRAs that are on, each times its curve's level.

    ``when`` are the LoRAs' own; curves are cut into at most ``levels``. ``memory`` are the numbers that the
    factors of what is on together take at most, and those of the largest LoRA.
    """

    when: tuple[When, ...] = ()
    levels: int = MOST_LEVELS
    memory: tuple[int, int] = (0, 0)

    name = "As scheduled"
    paper = ""
    summary = "each LoRA works when, where and as strongly as LoRA Set says, several of them at once."
    follows_when = True
    adds = True

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """Each LoRA's strengths over the run."""
        return tuple(cut(when, self.levels) for when in self.when)

    @cached_property
    def together(self) -> Course:
        """All of them together."""
        return Course.of(self.cuts)

    @cached_property
    def sums(self) -> tuple[Sum, ...]:
        """The candidates; where no LoRA is ever on, one that is never used."""
        nothing = (1.0, *(0.0,) * (self.present.count - 1))
        return self.together.sums(set(self.present.slots)) or (nothing,)

    @cached_property
    def _table(self) -> np.ndarray:
        """The candidate of each slot in each piece of the run, int8 [pieces, slots]."""
        at = {levels: index for index, levels in enumerate(self.sums)}
        table = np.full((len(self.together.pieces), len(self.present.slots)), NOBODY, dtype=np.int8)
        for row, piece in enumerate(self.together.pieces):
            of = {there: at.get(restricted(piece, there), NOBODY) for there in set(self.present.slots)}
            table[row] = [of[there] for there in self.present.slots]
        return table

    def who(self, moment: Moment) -> np.ndarray:
        """The sum that is on, of each slot's own LoRAs; int8 [1, slots]."""
        return self._table[self.together.piece(moment.x)][None]

    def candidates(
        self, slot: int, deltas: Sequence[Delta | None], memory: Digests | None = None
    ) -> tuple[Delta | Several | None, ...]:
        """The sums of the slot's LoRAs; a LoRA alone at level 1 is its very delta."""
        there = set(self.present.slots[slot])
        return tuple(_sum(levels, deltas) if there.issuperset(on(levels)) else None for levels in self.sums)

    def key_of(self) -> Hashable:
        """The sums."""
        return self.sums

    def labels(self, loras: Sequence[str]) -> tuple[str, ...]:
        """``subject 0.6 + style``: a LoRA that is on at one strength, 1, without its level."""
        return tuple(
            " + ".join(self._called(i, levels[i], loras) for i in on(levels)) for levels in self.sums
        )

    def _called(self, lora: int, level: float, loras: Sequence[str]) -> str:
        return loras[lora] if self._strengths(lora) == {1.0} else f"{loras[lora]} {level:.4g}"

    def _strengths(self, lora: int) -> set[float]:
        return {levels[lora] for levels in self.sums if levels[lora]}

    def families(self, loras: Sequence[str]) -> tuple[str, ...]:
        """Which LoRAs are on, at whatever level."""
        return tuple(" + ".join(loras[i] for i in on(levels)) for levels in self.sums)

    def depths(self) -> tuple[float, ...]:
        """The LoRAs' levels against the strongest that each has, the mean of those that are on."""
        most = [max(map(abs, self._strengths(lora)), default=1.0) for lora in range(self.present.count)]
        return tuple(
            float(np.mean([abs(levels[lora]) / most[lora] for lora in on(levels)])) for levels in self.sums
        )

    def idle(self, used: Sequence[bool], labels: Sequence[str], loras: Sequence[str]) -> tuple[str, ...]:
        """LoRAs that no sum in use has."""
        working = {
            lora for levels, is_used in zip(self.sums, used, strict=True) if is_used for lora in on(levels)
        }
        return tuple(
            f"the {loras[lora]} LoRA is used nowhere: no step falls between its start and end, its curve is "
            "0 there, or its blocks leave it nothing. Look at its LoRA Set."
            for lora in range(self.present.count)
            if lora not in working
        )

    def page_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """The LoRAs that change the slot, by number."""
        return {"there": list(self.present.slots[index])}

    def facts(self) -> tuple[Fact, ...]:
        """When each LoRA is on, what its curve was cut to, and what it all takes."""
        found = [
            Fact("when" if lora == 0 else "", f"LoRA {lora + 1}", _told(when, self.cuts[lora]))
            for lora, when in enumerate(self.when)
        ]
        most = max((len(on(levels)) for levels in self.sums), default=0)
        one = "LoRA at most: a step takes what one adds"
        more = f"LoRAs at most, in {len(self.sums)} sums: a step takes up to {most} times what one adds"
        found.append(Fact("at once", str(most), more if most > 1 else one))
        if self.memory[0]:
            together, largest = (_megabytes(numbers) for numbers in self.memory)
            found.append(
                Fact(
                    "memory",
                    together,
                    f"at 16 bits for what is on together; the largest LoRA alone {largest}",
                )
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """The schedule as it was written, and as it was cut."""
        return {
            "by_hand": {
                "when": [asdict(when) for when in self.when],
                "levels": self.levels,
                "memory": list(self.memory),
                "borders": list(self.together.borders),
                "pieces": [list(piece) for piece in self.together.pieces],
                "sums": [list(levels) for levels in self.sums],
            }
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> AsScheduled:
        found = document["by_hand"]
        labels = labels_of([lora["role"] for lora in document["loras"] if lora["role"] != OTHER])
        slots = (tuple(labels.index(lora) for lora in slot["loras"]) for slot in document["slots"])
        return cls(
            Presence(len(labels), tuple(slots)),
            tuple(When(**when) for when in found["when"]),
            found["levels"],
            (found["memory"][0], found["memory"][1]),
        )


def as_scheduled(rows: Sequence[Row], when: Sequence[When], count: int) -> AsScheduled:
    """The method over the rows where ``count`` LoRAs take part; ``when`` are theirs, none: always.

    Curves are cut into fewer levels where there would be too many sums. Raises KLoraError where that is not
    enough.
    """
    present = Presence.of(rows, count)
    own = tuple(when[:count]) or (ALWAYS,) * count
    for levels in _FEWER:
        method = AsScheduled(present, own, levels)
        if len(method.sums) <= MOST_SUMS:
            return AsScheduled(present, own, levels, _memory(rows, method))
    raise KLoraError(
        f"As scheduled: with these starts, ends and curves {count} LoRAs are on together in "
        f"{len(method.sums)} different ways, more than {MOST_SUMS}.",
        "Give some of them the same start and end, or no curve",
    )


def _memory(rows: Sequence[Row], method: AsScheduled) -> tuple[int, int]:
    sizes = [
        [0 if delta is None else sum(t.numel() for t in delta.tensors) for delta in row.deltas]
        for row in rows
    ]
    sums = [on(levels) for levels in method.sums]
    together = sum(
        max((sum(size[lora] for lora in those if lora in there) for those in sums), default=0)
        for size, there in zip(sizes, method.present.slots, strict=True)
    )
    return together, max(
        (sum(size[lora] for size in sizes) for lora in range(method.present.count)), default=0
    )


def _sum(levels: Sum, deltas: Sequence[Delta | None]) -> Delta | Several | None:
    parts = [
        delta if levels[lora] == 1 else delta.scaled(levels[lora])
        for lora in on(levels)
        if (delta := deltas[lora]) is not None
    ]
    if len(parts) > 1:
        return Several(tuple(parts))
    return parts[0] if parts else None


def _told(when: When, own: Cut) -> str:
    said = f"from {when.start:.4g} to {when.end:.4g} of the run"
    if not when.curve:
        return said
    count = len({level for level in own.levels if level})
    cut_to = f"{count} level{'' if count == 1 else 's'}"
    off = f", at most {own.error:.3g} off" if own.error > 1e-9 else ""
    return f"{said}, times {when.curve} ({cut_to}{off})"


def _megabytes(numbers: int) -> str:
    return f"{2 * numbers / 1e6:,.1f} MB"
