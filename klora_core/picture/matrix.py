"""A square of numbers, one for each two of some things, as coloured cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .. import palette
from .layout import CAPTION, LABEL
from .lettering import Pen, elide, width

_SMALL = 11
_DARK = 140


@dataclass(frozen=True)
class Matrix:
    """``values`` [n, n] within 0 and 1 are the cells' colours, from ``low`` to ``high``, NaN for no cell;
    ``texts`` what stands in them where there is room."""

    title: str
    values: np.ndarray
    texts: Sequence[Sequence[str]]
    low: str
    high: str


def widest(matrix: Matrix) -> int:
    """The room that the longest text of a cell takes."""
    return max((width(text, _SMALL) for row in matrix.texts for text in row if text), default=0)


def draw_matrix(
    image: Image.Image, matrix: Matrix, at: tuple[int, int], cell: int, names: Sequence[str], room: int
) -> None:
    """Draw it with the left top of its cells ``at``: ``names`` left of the rows in ``room`` pixels, numbers
    from 1 above the columns."""
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, top = at
    count = len(matrix.texts)
    pen.write((left, top - CAPTION - 10), matrix.title, LABEL, palette.TEXT)
    stride = max(1, -(-(width(str(count), _SMALL) + 4) // cell))
    for i, name in enumerate(names):
        middle = i * cell + cell / 2
        if i % max(1, -(-13 // cell)) == 0:
            pen.write((left - 8, top + middle), elide(name, _SMALL, room), _SMALL, palette.MUTED, "r")
        if i % stride == 0:
            pen.write((left + middle, top - 9), str(i + 1), _SMALL, palette.MUTED, "m")
    has_room = widest(matrix) <= cell - 3
    for i in range(count):
        for j in range(count):
            x, y = left + j * cell, top + i * cell
            value = matrix.values[i, j]
            colour = palette.PANEL if np.isnan(value) else blend(matrix.low, matrix.high, float(value))
            canvas.rectangle((x, y, x + cell - 2, y + cell - 2), fill=colour)
            if has_room and matrix.texts[i][j]:
                ink = palette.TEXT if _luminance(colour) < _DARK else palette.BACKGROUND
                pen.write((x + (cell - 1) / 2, y + (cell - 1) / 2), matrix.texts[i][j], _SMALL, ink, "m")


def blend(low: str, high: str, part: float) -> str:
    """The colour at ``part`` of the way from one to the other."""
    part = min(1.0, max(0.0, part))
    mixed = [round(a + (b - a) * part) for a, b in zip(palette.rgb(low), palette.rgb(high), strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _luminance(colour: str) -> float:
    red, green, blue = palette.rgb(colour)
    return 0.3 * red + 0.6 * green + 0.1 * blue
