"""Vectors of texts, kept by what the texts say and by the encoder that made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..kept import KeptFile

Texts = tuple[str, ...]
Vector = np.ndarray
"""float16, of length 1 but for its rounding."""
LIMIT = 1 << 14
"""Vectors of one encoder; of more, those made last are kept. Encoders on disk: those used last."""
_ENCODERS = 3
_MOST = 1 << 27
_MAGIC = b"klora vectors 1\n"
_KEY = 16


class VectorCache:
    """The vectors of texts by an encoder. ``folder`` gives where they outlive the process."""

    def __init__(self, folder: Callable[[], Path | None]) -> None:
        self._folder = folder
        self._encoder, self._held = "", dict[bytes, Vector]()

    def vectors(
        self, texts: Sequence[Texts], encoder: str, encode: Callable[[Texts], Vector], step: Callable
    ) -> list[Vector]:
        """The vector of each of ``texts``; those that ``encoder`` has not made yet, ``encode`` makes.

        ``encoder`` is a name of hex digits that no other encoder has. ``step`` is told how many of how many
        were made; where it raises, those made before are kept.
        """
        folder = self._folder()
        file = None if folder is None else folder / f"vectors-{encoder}.bin"
        if self._encoder != encoder:
            self._encoder, self._held = encoder, {} if file is None else _loaded(_kept(file).read())
        keys = [_key(each) for each in texts]
        missing = {k: each for k, each in zip(keys, texts, strict=True) if k not in self._held}
        made: dict[bytes, Vector] = {}
        try:
            for count, (key, each) in enumerate(missing.items(), 1):
                made[key] = encode(each)
                step(count, len(missing))
        finally:
            together = {**self._held, **made}
            self._held = dict(list(together.items())[-LIMIT:])
            if made and file is not None:
                _kept(file).write(_dumped(self._held))
                _thin_out(file)
        return [together[key] for key in keys]

    def forget(self) -> None:
        """Know nothing, as after a start."""
        self._encoder, self._held = "", {}


def mean(vectors: Sequence[Vector]) -> Vector:
    """The direction of the mean of vectors of length 1, in float16; zero where they cancel out."""
    whole = np.mean([np.asarray(vector, np.float64) for vector in vectors], axis=0)
    length = float(np.linalg.norm(whole))
    return (whole / length if length > 0 else whole * 0).astype(np.float16)


def cosines(vectors: Sequence[Vector], to: Vector) -> list[float]:
    """The cosine of each of ``vectors`` to another one; 0 for a vector of nothing."""
    if not vectors:
        return []
    table, other = np.stack(vectors).astype(np.float32), np.asarray(to, np.float32)
    lengths = np.linalg.norm(table, axis=1) * np.linalg.norm(other)
    return [
        float(x) for x in np.divide(table @ other, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    ]


def _key(texts: Texts) -> bytes:
    return hashlib.blake2b(json.dumps(texts).encode("ascii"), digest_size=_KEY).digest()


def _kept(file: Path) -> KeptFile:
    return KeptFile(file, _MAGIC, _MOST, "vectors of texts")


def _record(size: int) -> np.dtype:
    return np.dtype([("key", f"V{_KEY}"), ("vector", "<f2", (size,))])


def _dumped(held: Mapping[bytes, Vector]) -> bytes:
    size = len(next(iter(held.values())))
    records = np.empty(len(held), _record(size))
    records["key"] = np.frombuffer(b"".join(held), f"V{_KEY}")
    records["vector"] = np.stack(list(held.values()))
    # As many as a file may hold, the newest.
    kept = records[-(_MOST // records.itemsize) :]
    return size.to_bytes(4, "little") + kept.tobytes()


def _loaded(content: bytes) -> dict[bytes, Vector]:
    size = int.from_bytes(content[:4], "little")
    if not 0 < size < 1 << 16 or (len(content) - 4) % _record(size).itemsize:
        return {}
    records = np.frombuffer(content, _record(size), offset=4)
    return {
        bytes(record["key"]): record["vector"] for record in records if np.isfinite(record["vector"]).all()
    }


def _thin_out(newest: Path) -> None:
    """Leave the encoders used last: each checkpoint may have one of its own."""
    with suppress(OSError):
        for old in sorted(_others(newest), key=lambda file: -file.stat().st_mtime)[_ENCODERS - 1 :]:
            old.unlink()


def _others(newest: Path) -> Iterator[Path]:
    return (file for file in newest.parent.glob("vectors-*.bin") if file != newest)
