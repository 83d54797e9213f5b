"""Text for pictures with Pillow's built-in font alone: no font file of the system is needed."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
# Small sizes drawn at 1:1 snap each letter to whole pixels and lose the spaces between words.
_OVERSAMPLE = 4


class Pen:
    """Writes on ``image``. ``at`` is the (x, y) of the anchor in pixels.

    ``anchor`` is a letter for x (l left, m middle, r right of the text): y is always the middle of the
    capitals, so that words with and without descenders share a line.
    """

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    def write(
        self,
        at: tuple[float, float],
        text: str,
        size: int,
        colour: str,
        anchor: str = "l",
        turned: bool = False,
    ) -> None:
        """Write ``text``; ``turned`` reads from bottom to top, and centres on ``at``."""
        mask = _mask(readable(text), size)
        if turned:
            mask = mask.transpose(Image.Transpose.ROTATE_90)
        shift = mask.width / 2 if turned else {"l": 0.0, "m": mask.width / 2, "r": float(mask.width)}[anchor]
        corner = (round(at[0] - shift), round(at[1] - mask.height / 2))
        self._image.paste(colour, (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)


def width(text: str, size: int) -> int:
    """Width of ``text`` in pixels, as :meth:`Pen.write` draws it."""
    return _mask(readable(text), size).width


def elide(text: str, size: int, room: int) -> str:
    """``text``, its middle replaced by an ellipsis where it is wider than ``room`` pixels."""
    text = readable(text)
    if width(text, size) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        keep = (low + high + 1) // 2
        low, high = (keep, high) if width(_middle_cut(text, keep), size) <= room else (low, keep - 1)
    return _middle_cut(text, low)


def readable(text: str) -> str:
    """``text`` in letters that the font has: accents dropped, each run of other letters an ellipsis."""
    result: list[str] = []
    for letter in unicodedata.normalize("NFC", text.strip()):
        plain = letter if _has_glyph(letter) else _plain(letter)
        if plain != _gap() or result[-1:] != [plain]:
            result.append(plain)
    return "".join(result)


def _plain(letter: str) -> str:
    """``letter`` without its accents, or an ellipsis where that has no glyph either."""
    parts = [p for p in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(p)]
    return "".join(parts) if parts and all(map(_has_glyph, parts)) else _gap()


def _middle_cut(text: str, keep: int) -> str:
    # The end of a file name carries its version and suffix, so both ends keep the same share.
    head = (keep + 1) // 2
    return text[:head] + _gap() + (text[len(text) - keep // 2 :] if keep > 1 else "")


@cache
def _font(size: int) -> tuple[Any, int]:
    """Pillow's font and the factor it is drawn at; its small bitmap font where FreeType is missing."""
    try:
        return ImageFont.load_default(size * _OVERSAMPLE), _OVERSAMPLE
    except (TypeError, ImportError, OSError):
        return ImageFont.load_default(), 1


@cache
def _gap() -> str:
    return ELLIPSIS if _glyph(ELLIPSIS) != _glyph("\uffff") else "..."


@cache
def _has_glyph(letter: str) -> bool:
    return letter == " " or (letter.isprintable() and _glyph(letter) not in (None, _glyph("\uffff")))


def _glyph(letter: str) -> tuple[tuple[int, int], bytes] | None:
    """The drawn letter; None where the bitmap font refuses to draw it."""
    try:
        mask = _font(12)[0].getmask(letter)
    except UnicodeError:
        return None
    return mask.size, bytes(mask)


@lru_cache(maxsize=1024)
def _mask(text: str, size: int) -> Image.Image:
    """The text as coverage, mode L, with the middle of its capitals at the middle of the height."""
    font, factor = _font(size)
    left, _, right, _ = (int(v) for v in font.getbbox(text or " "))
    _, top, _, bottom = (int(v) for v in font.getbbox("H"))
    wide = max(right - min(left, 0), 1)
    tall = 2 * size * factor
    image = Image.new("L", (-(-wide // factor) * factor, tall), 0)
    ImageDraw.Draw(image).text((-min(left, 0), tall / 2 - (top + bottom) / 2), text, fill=255, font=font)
    return image.reduce(factor) if factor > 1 else image
