"""Scores by content: what a LoRA scores in a slot at a K does not depend on whom it meets there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..deltas import Digests, cryptographic, digests
from ..memo import Bounded
from .disk import ScoreFile
from .scoring import Key, Request, Score, Scorer


class ScoreCache:
    """The last ``limit`` scores, kept for the life of the process: a new balance never scores again.

    ``file`` gives where they outlive it, None where they do not; it is asked and told of what is new alone.
    """

    def __init__(self, limit: int, file: Callable[[], ScoreFile | None] = lambda: None) -> None:
        self._file = file
        self._scores: Bounded[Key, Score] = Bounded(limit)

    def scores(
        self, requests: Sequence[Request], score: Scorer, memory: Digests | None = None
    ) -> list[Score]:
        """The scores of ``requests`` in their order; ``score`` is called once, for those not kept.

        A request that repeats another's content is not passed on twice. Contents are read anew each time, so
        that what was changed in place is scored again, but for those of deltas that rest, in ``memory``.
        """
        contents = digests((delta for delta, _ in requests), memory)
        keys = [Key(content, k) for content, (_, k) in zip(contents, requests, strict=True)]
        scores = {key: kept for key in keys if (kept := self._scores.get(key)) is not None}
        missing = {key: r for key, r in zip(keys, requests, strict=True) if key not in scores}
        if missing:
            scores |= self._of(missing, score)
        for key in missing:
            self._scores.put(key, scores[key])
        return [scores[key] for key in keys]

    def clear(self) -> None:
        """Keep nothing, as after a start."""
        self._scores.clear()

    def _of(self, missing: dict[Key, Request], score: Scorer) -> dict[Key, Score]:
        file = self._file()
        if file is None:
            return dict(zip(missing, score(list(missing.values())), strict=True))
        # Another process, or another person, may have written there: no two contents share these keys.
        contents = cryptographic(delta for delta, _ in missing.values())
        lasting = {key: Key(content, key.k) for key, content in zip(missing, contents, strict=True)}
        kept = file.read(lasting.values())
        there = {key: kept[last] for key, last in lasting.items() if last in kept}
        left = {key: request for key, request in missing.items() if key not in there}
        if not left:
            return there
        new = dict(zip(left, score(list(left.values())), strict=True))
        file.add({lasting[key]: found for key, found in new.items()})
        return there | new
