"""Scores by content: what a LoRA scores in a slot at a K does not depend on whom it meets there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from ..deltas import Delta, digests
from .disk import ScoreFile

Request = tuple[Delta, int]
"""A delta and K."""
Scores = tuple[float, float]
"""The sum of the K largest |entries|, and that of all."""


class ScoreCache:
    """The last ``limit`` scores, kept for the life of the process: a new balance never scores again.

    ``file`` gives where they outlive it, None where they do not; it is asked and told of what is new alone.
    """

    def __init__(self, limit: int, file: Callable[[], ScoreFile | None] = lambda: None) -> None:
        self._limit, self._file = limit, file
        self._known: OrderedDict[tuple[bytes, int], Scores] = OrderedDict()

    def scores(
        self, requests: Sequence[Request], score: Callable[[Sequence[Request]], Sequence[Scores]]
    ) -> list[Scores]:
        """The scores of ``requests`` in their order; ``score`` is called once, for those not known.

        A request that repeats another's content is not passed on twice. Contents are read anew each time, so
        that what was changed in place is scored again; see :func:`digest.once` for where they are not.
        """
        found = zip(digests(delta for delta, _ in requests), requests, strict=True)
        keys = [(content, k) for content, (_, k) in found]
        missing = {key: r for key, r in zip(keys, requests, strict=True) if key not in self._known}
        if missing:
            self._find(missing, score)
        result = [self._known[key] for key in keys]
        for key in keys:
            self._known.move_to_end(key)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
        return result

    def _find(
        self,
        missing: dict[tuple[bytes, int], Request],
        score: Callable[[Sequence[Request]], Sequence[Scores]],
    ) -> None:
        file = self._file()
        there = {} if file is None else file.read(missing)
        self._known.update(there)
        left = {key: request for key, request in missing.items() if key not in there}
        if not left:
            return
        new = dict(zip(left, score(list(left.values())), strict=True))
        self._known.update(new)
        if file is not None:
            file.add(new)
