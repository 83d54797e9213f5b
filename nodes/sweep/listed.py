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
    values: list[T] = []
    for part in parts:
        value = read(part)
        if value in values:
            raise KLoraError("its image would be made twice.", f"Take {shown(part)} out of {what} once")
        values.append(value)
    return values


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
