"""A list that was typed into a node, or copied from a page, to its values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from ...klora_core.errors import KLoraError
from ..inputs import check_number, shown

T = TypeVar("T")
# Signs that look like a minus, and the marks of Chinese and Japanese.
_AS_TYPED = str.maketrans(
    "\N{MINUS SIGN}\N{EN DASH}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COLON}\N{FULLWIDTH FULL STOP}"
    "\N{FULLWIDTH COMMA}\N{FULLWIDTH SEMICOLON}\N{IDEOGRAPHIC COMMA}",
    "---:.,;,",
)


def listed(what: str, text: str, such_as: str, read: Callable[[str], T]) -> list[T]:
    """The values of ``text``, commas between them, each read by ``read``.

    ``what`` is what to call them, ``such_as`` an example. Raises KLoraError for none, and for one twice.
    """
    parts = [part.strip() for part in re.split("[,;\n]", text.translate(_AS_TYPED)) if part.strip()]
    if not parts:
        raise KLoraError("there are none.", f"Write {what} with commas between, such as {such_as}")
    values = [read(part) for part in parts]
    _check_commas(what, text, such_as, read)
    for i, part in enumerate(parts):
        if values[i] in values[:i]:
            raise KLoraError("its image would be made twice.", f"Take {shown(part)} out of {what} once")
    return values


def _check_commas(what: str, text: str, such_as: str, read: Callable[[str], object]) -> None:
    """Raises KLoraError for a list whose commas may be those of its numbers: -0,4 and 0,8:1."""
    # The wide commas are no such ones.
    parts = re.split(r",\s|,$|[;\n\uff0c\u3001\uff1b]", text)
    parts = [part.translate(_AS_TYPED).strip() for part in parts]
    doubtful = [part for part in parts if "," in part]
    if not doubtful or "." in text:
        return
    try:
        for part in filter(None, parts):
            read(part.replace(",", "."))
    except KLoraError:
        return
    raise KLoraError(
        f"{shown(doubtful[0])} may be one number or two.",
        f"Write {what} with a point in a number, or a space behind each comma, such as {such_as}",
    )


def number(what: str, text: str, such_as: str, low: float, high: float) -> float:
    """The number in ``text``, one of ``what``, from ``low`` to ``high``. Raises KLoraError for others."""
    try:
        value = check_number(what, float(text))
    except ValueError:
        raise KLoraError(
            f"{shown(text)} is none.", f"Write {what} as numbers with commas between, such as {such_as}"
        ) from None
    if not low <= value <= high:
        raise KLoraError(
            f"{value:g} is beyond.",
            f"Write {what} from {low:g} to {high:g}, with a point in a number and commas between, such "
            f"as {such_as}",
        )
    # Of the two zeros the one without a sign.
    return value + 0.0
