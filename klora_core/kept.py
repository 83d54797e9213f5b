"""Files of things worked out, there to save time: read where they are whole, written where they can be.

Nothing here raises: what can't be read is worked out again, what can't be written is said in the log.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

_LOG = logging.getLogger("klora")
_SUM = 16


class KeptFile:
    """``what`` (a plural) in the file ``path``, which begins with ``magic`` and has at most ``most`` bytes.

    The file is replaced whole, so that several processes can have it at once; what one of them adds in the
    very moment of another is lost, and worked out again some day.
    """

    def __init__(self, path: Path, magic: bytes, most: int, what: str) -> None:
        self._path, self._magic, self._most, self._what = path, magic, most, what

    def read(self) -> bytes:
        """What was written; nothing where the file is damaged or is none of these."""
        if self._is_other():
            return b""
        head = len(self._magic)
        try:
            with open(self._path, "rb") as file:
                # Somebody else's file may be of any size.
                data = file.read(self._most + head + _SUM)
        except OSError:
            return b""
        content = data[head + _SUM :]
        if data[:head] != self._magic or data[head : head + _SUM] != _sum(content):
            _LOG.info("K-LoRA: %s holds no %s that can be used: they are made again.", self._path, self._what)
            return b""
        return content

    def write(self, content: bytes) -> None:
        """Put ``content`` in the place of what is there."""
        try:
            self._replace(self._magic + _sum(content) + content)
        except OSError as error:
            reason = error.strerror or error
            _LOG.warning("K-LoRA: %s are not kept in %s (%s).", self._what, self._path, reason)

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


def _sum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_SUM).digest()
