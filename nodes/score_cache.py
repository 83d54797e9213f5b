"""Scores of LoRA pairs, kept for the life of the process: a new balance or schedule never scores again."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from ..klora_core.pairing import SlotPair
from ..klora_core.plan import ScoredSlot

_PAIRS = 16


@dataclass(frozen=True)
class _Same:
    """Recognises a LoRA: by its file's stamp, or else by its very tensors, held weakly."""

    stamp: tuple | None
    tensors: tuple[tuple[str, weakref.ref], ...]

    @classmethod
    def of(cls, lora: Mapping[str, Tensor]) -> _Same:
        stamp = getattr(lora, "stamp", None)
        tensors = () if stamp else tuple((key, weakref.ref(tensor)) for key, tensor in lora.items())
        return cls(stamp, tensors)

    def matches(self, lora: Mapping[str, Tensor]) -> bool:
        if self.stamp is not None:
            return self.stamp == getattr(lora, "stamp", None)
        return len(lora) == len(self.tensors) and all(lora.get(k) is ref() for k, ref in self.tensors)


@dataclass
class _Entry:
    subject: _Same
    style: _Same
    slots: dict[tuple, ScoredSlot] = field(default_factory=dict)


class ScoreCache:
    """The last pairs' scores; each slot of a pair is scored once, whatever is done with it."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._next = 0

    def scores(
        self,
        subject: Mapping[str, Tensor],
        style: Mapping[str, Tensor],
        pairs: Sequence[SlotPair],
        score: Callable[[Sequence[SlotPair]], list[ScoredSlot]],
    ) -> list[ScoredSlot]:
        """The scores of ``pairs`` in their order, calling ``score`` for those that are not known."""
        known = self._entry(subject, style).slots
        missing = [pair for pair in pairs if _key(pair) not in known]
        if missing:
            known.update(zip(map(_key, missing), score(missing), strict=True))
        return [known[_key(pair)] for pair in pairs]

    def _entry(self, subject: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> _Entry:
        for number, entry in self._entries.items():
            if entry.subject.matches(subject) and entry.style.matches(style):
                self._entries.move_to_end(number)
                return entry
        entry = _Entry(_Same.of(subject), _Same.of(style))
        self._entries[self._next] = entry
        self._next += 1
        while len(self._entries) > _PAIRS:
            self._entries.popitem(last=False)
        return entry


def _key(pair: SlotPair) -> tuple:
    return pair.slot, pair.subject.shape, pair.subject.rank, pair.style.rank
