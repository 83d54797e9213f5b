"""Scores on disk, so that a process that starts anew scores nothing again."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from .scoring import Key, Score

_LOG = logging.getLogger("klora")

VERSION = 2
"""Another one for each change of what is scored or how it is digested: scores of others are not taken."""
LIMIT = 1 << 16
"""Scores in a file, 2 MiB: sixteen pairs of two thousand slots. The oldest go first."""

_MAGIC = b"klora scores\n\0\0\0"
_RECORD = np.dtype([("key", "V16"), ("scores", "<f8", (2,))])


class ScoreFile:
    """Scores by content in the file ``path``; ``made_by`` names what else decides on their last bits.

    Nothing here raises: what can't be read is scored again, what can't be written is said in the log. The
    file is replaced whole, so that several processes can have it at once; what one of them adds in the very
    moment of another is lost, and scored again some day.
    """

    def __init__(self, path: Path, made_by: str = "", limit: int = LIMIT) -> None:
        self._path, self._limit = path, limit
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
        try:
            self._replace(_MAGIC + _sum(records) + records)
        except OSError as error:
            _LOG.warning("K-LoRA: scores are not kept in %s (%s).", self._path, error.strerror or error)

    def _replace(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._is_other():
            raise OSError("it is no file")
        # Of a name that nobody can know before, and nobody's link lies in the way of.
        handle, beside = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(beside, self._path)
        except OSError:
            with suppress(OSError):
                os.unlink(beside)
            raise

    def _is_other(self) -> bool:
        """Whether something else than a file is there: a pipe would be waited for, a device may not end."""
        try:
            return not stat.S_ISREG(os.stat(self._path).st_mode)
        except OSError:
            return False

    def _all(self) -> dict[bytes, Score]:
        """By shortened key, the oldest first; nothing where the file is damaged or is none of these."""
        if self._is_other():
            return {}
        try:
            with open(self._path, "rb") as file:
                # Somebody else's file may be of any size.
                data = file.read(2 * (LIMIT + 1) * _RECORD.itemsize)
        except OSError:
            return {}
        records = data[32:]
        if data[:16] != _MAGIC or data[16:32] != _sum(records) or len(records) % _RECORD.itemsize:
            _LOG.info("K-LoRA: %s holds no scores that can be used: they are made again.", self._path)
            return {}
        found = np.frombuffer(records, _RECORD)
        pairs = zip(found["key"].tolist(), found["scores"].tolist(), strict=True)
        return {bytes(key): Score(*pair) for key, pair in pairs if _is_score(pair)}

    def _short(self, key: Key) -> bytes:
        return hashlib.blake2b(self._made_by + b"%d\n" % key[1] + key[0], digest_size=16).digest()


def _is_score(pair: Sequence[float]) -> bool:
    """Whether these can be sums of magnitudes: a file that says otherwise would decide who wins."""
    return all(math.isfinite(value) and value >= 0 for value in pair)


def _sum(records: bytes) -> bytes:
    return hashlib.blake2b(records, digest_size=16).digest()
