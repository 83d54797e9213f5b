"""What a file's header says of itself, read without a fault.

Trainers write text under keys, some of it JSON. Anyone may have written it: what is damaged, hostile or too
long says nothing, and a LoRA loads all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Characters of JSON that are looked at. The tags of ten thousand pictures take less.
_LONGEST = 1 << 22
_NOTHING = frozenset(
    ("none", "null", "nil", "nan", "n/a", "na", "undefined", "false", "-", "[]", "{}", "()", '""', "''")
)
# Digits of a whole number that Python may work with and compare to others.
_DIGITS = 18


def text_of(metadata: object, key: str) -> str:
    """The text under a key without blanks around it; empty where there is none, or a word for nothing."""
    text = metadata.get(key) if isinstance(metadata, Mapping) else None
    return said(text) if isinstance(text, str) else ""


def said(text: str) -> str:
    """A text without blanks around it; empty for a word for nothing, such as ``None``."""
    text = text.strip()
    return "" if len(text) < 10 and text.lower() in _NOTHING else text


def json_of(metadata: object, key: str) -> Any:
    """The JSON under a key; None where there is none, or none that can be read."""
    return parsed(text_of(metadata, key))


def parsed(text: str) -> Any:
    """The JSON in a text, None where there is none; whole numbers of many digits are floats."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        return json.loads(text, parse_int=_whole)
    # Brackets in brackets by the thousand are more than a call can hold.
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)
