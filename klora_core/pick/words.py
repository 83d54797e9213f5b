"""Whether trigger words stand in a prompt: as written, but for case, width and the marks of emphasis."""

from __future__ import annotations

import re
import unicodedata

# A weight behind words in brackets, as the host reads it: (cat:1.2). Bounded, so that no text takes long.
_WEIGHT = re.compile(r":\s{0,9}[-+]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s{0,9}\)")
_EDGES = " ,.;:!?"
# Scripts without blanks between words: Thai to Burmese and Khmer, kana, Chinese characters.
_NO_BLANKS = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)


def plain(text: str) -> str:
    """``text`` for :func:`stands_at`: one case and width, no marks of emphasis, single blanks."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = _WEIGHT.sub(")", text).replace("\\", "")
    return " ".join(text.translate({ord(c): " " for c in "()"}).split())


def trigger(text: str) -> str:
    """Trigger words for :func:`stands_at`; empty where nothing is left to look for."""
    found = plain(text).strip(_EDGES)
    return found if any(map(_is_of_word, found)) else ""


def stands_at(words: str, prompt: str) -> int:
    """Where ``words`` first stand in ``prompt`` as whole words, -1 where they do not; both :func:`plain`.

    A word ends where no letter, digit or underscore follows. Chinese, Japanese, Thai and their like put no
    blanks between words: beside their letters every place is an end.
    """
    at = prompt.find(words) if words else -1
    while at >= 0:
        end = at + len(words)
        if not (_joined(prompt[at - 1 : at], words[0]) or _joined(words[-1], prompt[end : end + 1])):
            return at
        at = prompt.find(words, at + 1)
    return -1


def _joined(left: str, right: str) -> bool:
    sides = left, right
    return all(side and _is_of_word(side) for side in sides) and not any(map(_needs_no_blank, sides))


def _is_of_word(character: str) -> bool:
    # A mark belongs to the letter before it.
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def _needs_no_blank(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _NO_BLANKS)
