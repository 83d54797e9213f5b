"""Scores by content: what a LoRA scores in a slot at a K does not depend on whom it meets there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from .deltas import Delta
from .digest import digests

Request = tuple[Delta, int]
"""A delta and K."""
Scores = tuple[float, float]
"""The sum of the K largest |entries|, and that of all."""


class ScoreCache:
    """The last ``limit`` scores, kept for the life of the process: a new balance never scores again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[bytes, int], Scores] = OrderedDict()

    def scores(
        self, requests: Sequence[Request], score: Callable[[Sequence[Request]], Sequence[Scores]]
    ) -> list[Scores]:
        """The scores of ``requests`` in their order; ``score`` is called once, for those not known.

        A request that repeats another's content is not passed on twice. Contents are read anew each time,
        so that what was changed in place is scored again.
        """
        found = zip(digests(delta for delta, _ in requests), requests, strict=True)
        keys = [(content, k) for content, (_, k) in found]
        missing = {key: r for key, r in zip(keys, requests, strict=True) if key not in self._known}
        if missing:
            new = score(list(missing.values()))
            self._known.update(zip(missing, new, strict=True))
        result = [self._known[key] for key in keys]
        for key in keys:
            self._known.move_to_end(key)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
        return result
