"""A queue without a server: a piece of work belongs to whoever made its claim file, as long as that process
lives.
"""

from __future__ import annotations

import os
from pathlib import Path


def claim(path: Path) -> bool:
    """Whether the work is ours now. A claim of a process that is gone counts as none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        if _alive(path):
            return False
        path.unlink(missing_ok=True)
        return claim(path)
    with os.fdopen(handle, "w") as file:
        file.write(str(os.getpid()))
    return True


def _alive(path: Path) -> bool:
    try:
        os.kill(int(path.read_text() or "0") or os.getpid(), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True
