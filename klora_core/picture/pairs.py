"""Every pair of a folder's LoRAs as an image: when the style takes over, and what else is known of two."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from .. import palette
from ..errors import KLoraError
from ..methods.survey import Pair, Survey, Way, heading
from .layout import CAPTION, MARGIN
from .lettering import Pen, elide, width
from .matrix import Matrix, draw_matrix

_TITLE, _NAMES, _NUMBERS = 15, 190, 34
_SIDE, _CELL, _LEAST = 620, 44, 6
_HEADER = 56
# What a colour's whole range stands for: gamma from 1/8 to 8, a spread of up to 8.
_OCTAVES = 3.0
_OVERLAP_SHOWN = 0.1

Cell = tuple[float, str]


def draw_pairs(survey: Survey) -> Image.Image:
    """Rows are subjects, columns styles, mode RGB. Raises KLoraError without a pair."""
    if not survey.pairs:
        raise KLoraError("there is no pair to draw.", "Leave out --plot, and the report says why")
    count = len(survey.files)
    cell = max(_LEAST, min(_CELL, _SIDE // count))
    names = [f"{file.name}  {number}" for number, file in enumerate(survey.files, 1)]
    room = min(_NAMES, max(width(name, 11) for name in names)) + 8
    side = count * cell
    panel = max(side, 300)
    step_x, step_y = panel + _NUMBERS + 16, side + 2 * CAPTION + 16
    size = MARGIN + room + panel + step_x + MARGIN, _HEADER + CAPTION + 2 * step_y + MARGIN // 2
    image = Image.new("RGB", size, palette.BACKGROUND)
    said = elide(heading(survey), _TITLE, size[0] - 2 * MARGIN)
    Pen(image).write((MARGIN, 28), said, _TITLE, palette.TEXT)
    for number, matrix in enumerate(_matrices(survey)):
        right, below = number % 2, number // 2
        at = MARGIN + room + right * step_x, _HEADER + CAPTION + 16 + below * step_y
        labels = [str(i + 1) for i in range(count)] if right else names
        draw_matrix(image, matrix, at, cell, labels, _NUMBERS if right else room)
    return image


def _matrices(survey: Survey) -> list[Matrix]:
    columns = len(survey.columns)

    def half(way: Way) -> Cell:
        found = way.handover.half
        return (1 - (found - 1) / columns, str(found)) if found else (0.0, "-")

    def change(way: Way) -> Cell:
        share = way.handover.change.share
        return 2 * share - 1, f"{100 * share:.0f}"

    def gamma(way: Way) -> Cell:
        return _octaves(way.gamma) / 2 + 0.5, _short(way.gamma)

    ink = palette.PANEL, palette.TEXT
    roles = palette.SUBJECT_COLOUR, palette.STYLE_COLOUR
    return [
        _ways(
            survey,
            "step by which half of the layers are the style's; rows subject, columns style",
            half,
            roles,
        ),
        _ways(survey, "one change of hands in time, % of all that is chosen", change, ink),
        _ways(survey, "gamma: how many times as large the row's changes are", gamma, (roles[1], roles[0])),
        _both(survey, "spread of rho above the diagonal, overlap in % below", ink),
    ]


def _octaves(value: float) -> float:
    return (
        max(-1.0, min(1.0, math.log2(value) / _OCTAVES)) if value > 0 and math.isfinite(value) else math.nan
    )


def _ways(survey: Survey, title: str, cell: Callable[[Way], Cell], colours: tuple[str, str]) -> Matrix:
    cells = {(way.subject, way.style): cell(way) for way in survey.ways}
    return _matrix(len(survey.files), title, cells, colours)


def _both(survey: Survey, title: str, colours: tuple[str, str]) -> Matrix:
    cells: dict[tuple[int, int], Cell] = {}
    for pair in survey.pairs:
        cells[pair.one, pair.other] = _spread(pair)
        if pair.overlap is not None:
            cells[pair.other, pair.one] = pair.overlap / _OVERLAP_SHOWN, _short(100 * pair.overlap)
    return _matrix(len(survey.files), title, cells, colours)


def _spread(pair: Pair) -> Cell:
    return _octaves(pair.spread), _short(pair.spread)


def _short(value: float) -> str:
    """In four characters, but for what is larger than any."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _matrix(count: int, title: str, cells: dict[tuple[int, int], Cell], colours: tuple[str, str]) -> Matrix:
    values = np.full((count, count), np.nan)
    texts = [[""] * count for _ in range(count)]
    for (row, column), (value, text) in cells.items():
        values[row, column], texts[row][column] = value, text
    return Matrix(title, values, texts, *colours)
