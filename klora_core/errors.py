"""The one error a user can cause, and names from files made fit to be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LONGEST = 240


class KLoraError(ValueError):
    """Bad input: one line that names the file, the layer where there is one, and the remedy.

    ``do`` is the remedy where the line begins with it, before any name. Control characters are shown as
    escapes, so that no name reaches a terminal as a command.
    """

    def __init__(self, message: str, do: str = "") -> None:
        super().__init__(escaped(f"{do}: {message}" if do else message))
        self.why, self.do = message, do

    def __reduce__(self) -> tuple[Callable[[str], KLoraError], tuple[str]]:
        return _again, (str(self),)


# Hosts show the type with its module before the message, and a pack's modules are named by its path.
KLoraError.__module__ = "builtins"


def _again(message: str) -> KLoraError:
    return KLoraError(message)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Puts a file's name before the message of a KLoraError, behind what to do."""
    try:
        yield
    except KLoraError as error:
        raise KLoraError(f"{name}: {error.why}", error.do) from error


def printable(name: object) -> str:
    """A name from a file, fit for a terminal and a report.

    Control and other invisible characters become escapes (``\\x1b``), bytes that were no UTF-8 the
    replacement character; a name longer than 240 characters is cut in its middle.
    """
    text = escaped(str(name))
    if len(text) <= _LONGEST:
        return text
    half = (_LONGEST - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def escaped(text: str) -> str:
    """A line of text with its control and other invisible characters as escapes, of whatever length."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if "\ud800" <= character <= "\udfff":
        return "\N{REPLACEMENT CHARACTER}"
    return character.encode("unicode_escape").decode("ascii")
