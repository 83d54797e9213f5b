"""What files say, kept: a header is read once for each state of its file, also over restarts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, NamedTuple

from ..kept import KeptFile
from .text import LoraText

LIMIT = 1 << 14
"""Files in an index; of more, those looked at last are kept."""
_VERSION = 1
"""Another one for each change of what is read from a header: an index of another is made anew."""
_MAGIC = b"klora texts %d\n\0" % _VERSION
_MOST = 1 << 26
# ns. A file that changed this shortly ago may change again without its times telling.
_TOO_RECENT = 2_000_000_000
_TEXTS = len(fields(LoraText))


class State(NamedTuple):
    """What tells whether a file is the same and unchanged; times in ns."""

    size: int
    modified: int
    inode: int
    device: int
    changed: int


def state_of(path: str) -> State | None:
    """The state of a file now, None where it is gone."""
    try:
        now = os.stat(path)
    except (OSError, ValueError):
        return None
    return State(now.st_size, now.st_mtime_ns, now.st_ino, now.st_dev, now.st_ctime_ns)


class TextIndex:
    """What files say by path, as ``read`` tells it. ``place`` gives where it outlives the process."""

    def __init__(self, read: Callable[[str], LoraText], place: Callable[[], Path | None]) -> None:
        self._read, self._place = read, place
        self._held: dict[str, tuple[State, LoraText]] | None = None

    def texts(
        self, states: Mapping[str, State], there: Collection[str], step: Callable[[int, int], None]
    ) -> dict[str, LoraText]:
        """What the files say whose states are given by path; those not known in this state are read.

        ``there`` are all paths that there are: what is kept of others is forgotten. ``step`` is told how many
        of how many were read; where it raises, what was read before is kept.
        """
        place = self._place()
        if self._held is None:
            self._held = {} if place is None else _loaded(_file(place).read())
        held = self._held
        gone = [path for path in held if path not in there]
        for path in gone:
            del held[path]
        found = {p: held[p][1] for p, state in states.items() if p in held and held[p][0] == state}
        missing = [path for path in states if path not in found]
        changed = bool(gone)
        try:
            for count, path in enumerate(missing, 1):
                found[path] = self._read(path)
                changed |= _keep(held, path, states[path], found[path])
                step(count, len(missing))
        finally:
            if changed and place is not None:
                _file(place).write(_dumped(held))
        return found

    def forget(self) -> None:
        """Know nothing, as after a start."""
        self._held = None


def _keep(held: dict[str, tuple[State, LoraText]], path: str, state: State, text: LoraText) -> bool:
    """Keep what a file said in a state that tells its next change; whether it was kept."""
    held.pop(path, None)
    if max(state.modified, state.changed) > time.time_ns() - _TOO_RECENT:
        return False
    held[path] = state, text
    while len(held) > LIMIT:
        del held[next(iter(held))]
    return True


def _file(place: Path) -> KeptFile:
    return KeptFile(place, _MAGIC, _MOST, "texts of LoRA files")


def _dumped(held: Mapping[str, tuple[State, LoraText]]) -> bytes:
    rows = [[path, list(state), *astuple(text)] for path, (state, text) in held.items()]
    return json.dumps(rows).encode("ascii")


def _loaded(content: bytes) -> dict[str, tuple[State, LoraText]]:
    """What was kept; a row that is none is left out."""
    try:
        rows = json.loads(content or b"[]")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(rows, list):
        return {}
    return {row[0]: (State(*row[1]), _text(row[2:])) for row in rows if _is_row(row)}


def _text(row: Sequence[Any]) -> LoraText:
    triggers, texts, bases, filed, problem = row
    return LoraText(tuple(triggers), tuple(texts), tuple(bases), tuple(filed), problem)


def _is_row(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 2 + _TEXTS:
        return False
    path, state, *texts, problem = row
    return (
        isinstance(path, str)
        and _all(state, int)
        and len(state) == len(State._fields)
        and all(_all(each, str) for each in texts)
        and isinstance(problem, str)
    )


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)
