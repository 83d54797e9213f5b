"""Files that are written: whole or not at all, never over what is read, and what to do where it fails."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import KLoraError

_FULL = {errno.ENOSPC, errno.EDQUOT} | ({112} if sys.platform == "win32" else set())
# What safetensors passes on of the system's error: its number in a text, written by Rust in one of two ways.
_NUMBER = re.compile(r"\(os error (\d+)\)|\bOs \{ code: (\d+)")


def check(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raises KLoraError for an output that is an input or another output, by whatever path, and for one whose
    place can't be written to."""
    for number, path in enumerate(outputs):
        if any(_is_same(path, other) for other in inputs):
            raise KLoraError(
                f"can't write {path}: it is one of the files that are read.", "Give another name"
            )
        if any(_is_same(path, other) for other in outputs[:number]):
            raise KLoraError(f"can't write {path} twice.", "Give the files two names")
        _check_place(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside ``path`` to be written, which takes its place in the end; after a failure, or Ctrl-C,
    ``path`` is as it was. A link stays, and what it leads to is replaced; a device or a pipe is handed out
    itself. Raises KLoraError where the system does not let it be written."""
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            yield target
            return
        beside = _beside(target)
        try:
            mode = stat.S_IMODE((target if target.exists() else beside).stat().st_mode)
            yield beside
            with open(beside, "rb+") as file:
                # Some systems find only here that the disk is full.
                os.fsync(file.fileno())
            os.chmod(beside, mode)
            os.replace(beside, target)
        finally:
            with suppress(OSError):
                beside.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: Exception) -> KLoraError:
    """The error for a file that can't be written: the system's reason, and what to do about that one."""
    number = error.errno if isinstance(error, OSError) else _number(error)
    reason = os.strerror(number) if number else str(error)
    remedy = "Choose a folder that exists and is writable"
    if number in _FULL:
        remedy = "Free some space on the disk, which is full, or choose another disk"
    elif number == errno.EFBIG:
        remedy = "Choose another disk, as the file is larger than this disk, or this user, may have"
    return KLoraError(f"can't write {path}: {reason}.", remedy)


def _number(error: Exception) -> int | None:
    found = _NUMBER.search(str(error))
    return int(found[1] or found[2]) if found else None


def _check_place(path: Path) -> None:
    target = Path(os.path.realpath(path))
    folder = target.parent
    if target.is_dir():
        raise KLoraError(f"can't write {path}: it is a folder.", "Give the name of a file")
    if not folder.is_dir():
        raise unwritable(path, FileNotFoundError(errno.ENOENT, ""))
    if not os.access(target if target.exists() else folder, os.W_OK):
        raise unwritable(path, PermissionError(errno.EACCES, ""))


def _beside(target: Path) -> Path:
    beside = target.with_name(f".klora-{secrets.token_hex(8)}{target.suffix}")
    # Not by mkstemp, whose files are the user's alone.
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return beside


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        # Links of both kinds, and names of one file that differ.
        return os.path.samefile(one, other)
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))
