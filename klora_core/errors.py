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
        self.why, self.do = escaped(message), escaped(do)
        super().__init__(f"{self.do}: {self.why}" if do else self.why)

    @property
    def in_list(self) -> str:
        """The line for a list of many, and behind another remedy: the name first, what to do last."""
        return f"{self.why} {self.do}." if self.do else self.why

    def __reduce__(self) -> tuple[Callable[[str, str], KLoraError], tuple[str, str]]:
        return _again, (self.why, self.do)


# Hosts show the type with its module before the message, and a pack's modules are named by its path.
KLoraError.__module__ = "builtins"


def _again(message: str, do: str) -> KLoraError:
    return KLoraError(message, do)


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
