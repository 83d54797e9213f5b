"""What files say, worked out once for each state of a file and not at each question."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ...klora_core.memo import Bounded

T = TypeVar("T")


class FileMemo(Generic[T]):
    """What ``read`` gives of a file by its path, for the last ``limit`` files, until they change.

    Several at once wait for one that reads: a header may have a hundred megabytes. ``nothing`` is said of
    what is gone.
    """

    def __init__(self, read: Callable[[str], T], nothing: T, limit: int = 256) -> None:
        self._read, self._nothing = read, nothing
        self._held: Bounded[Hashable, tuple[T]] = Bounded(limit)
        self._lock = threading.Lock()

    def of(self, path: str) -> T:
        """What the file at ``path`` says."""
        try:
            now = os.stat(path)
        except (OSError, ValueError):
            return self._nothing
        key = path, now.st_size, now.st_mtime_ns, now.st_ino, now.st_dev, now.st_ctime_ns
        with self._lock:
            held = self._held.get(key)
            if held is None:
                held = (self._read(path),)
                self._held.put(key, held)
            return held[0]
