"""Scores on disk, so that a process that starts anew scores nothing again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..kept import KeptFile
from .scoring import Key, Score

VERSION = 2
"""Another one for each change of what is scored or how it is digested: scores of others are not taken."""
LIMIT = 1 << 16
"""Scores in a file, 2 MiB: sixteen pairs of two thousand slots. The oldest go first."""

_MAGIC = b"klora scores\n\0\0\0"
_RECORD = np.dtype([("key", "V16"), ("scores", "<f8", (2,))])


class ScoreFile:
    """Scores by content in the file ``path``; ``made_by`` names what else decides on their last bits."""

    def __init__(self, path: Path, made_by: str = "", limit: int = LIMIT) -> None:
        self._file = KeptFile(path, _MAGIC, 2 * LIMIT * _RECORD.itemsize, "scores")
        self._limit = limit
        self._made_by = f"{VERSION}\n{made_by}\n".encode()

    def read(self, keys: Iterable[Key]) -> dict[Key, Score]:
        """The scores of those of ``keys`` that are there."""
        wanted = {self._short(key): key for key in keys}
        return {wanted[short]: found for short, found in self._all().items() if short in wanted}

    def add(self, new: Mapping[Key, Score]) -> None:
        """Write ``new`` beside what is there."""
        there = self._all()
        there |= {self._short(key): scores for key, scores in new.items() if _is_score(scores)}
        kept = list(there.items())[-self._limit :]
        records = np.array(kept, _RECORD).tobytes()
        self._file.write(records)

    def _all(self) -> dict[bytes, Score]:
        """By shortened key, the oldest first; nothing where the file is damaged or is none of these."""
        records = self._file.read()
        if len(records) % _RECORD.itemsize:
            return {}
        found = np.frombuffer(records, _RECORD)
        pairs = zip(found["key"].tolist(), found["scores"].tolist(), strict=True)
        return {bytes(key): Score(*pair) for key, pair in pairs if _is_score(pair)}

    def _short(self, key: Key) -> bytes:
        return hashlib.blake2b(self._made_by + b"%d\n" % key[1] + key[0], digest_size=16).digest()


def _is_score(pair: Sequence[float]) -> bool:
    """Whether these can be sums of magnitudes: a file that says otherwise would decide who wins."""
    return all(math.isfinite(value) and value >= 0 for value in pair)
