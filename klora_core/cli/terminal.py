"""What the commands show: lines that no terminal takes for commands, and how far a long piece of work is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import escaped
from ..progress import Callback


def say(text: str) -> None:
    """Lines on stdout; of names and texts from files what is not visible, or can't be shown, as escapes."""
    shown = "\n".join(map(escaped, text.split("\n")))
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")


@contextmanager
def progress(what: str) -> Iterator[Callback | None]:
    """Shows on stderr, where that is a terminal, how far ``what`` is; the line is gone in the end."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(done: float, total: int) -> None:
        _over(f"{what}: {done / total:.1%}")

    try:
        yield show
    finally:
        _over("")


def _over(line: str) -> None:
    """Writes a line over the last one: back, erase to the end."""
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
