"""Where everything in the selection map lies: sizes and positions in pixels, no drawing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ..plan import Plan
from ..progress import Columns
from .lettering import elide, width

MARGIN = 24
LABEL = 12
HEADER = 84
CAPTION = 26
AXIS = 26
PANEL = 132
BAND = 18
TICK = 10
RIGHT = 88
# Names of the x axes stand right of the last number, which is centred on or before the edge.
UNIT = 20

_MAP_WIDTH, _MAP_WIDTH_MOST = 760, 2000
_MAP_HEIGHT, _ROW_MOST, _ROW_ROOMY, _COLUMN_ROOMY = 840, 22, 8, 10
_LABEL_MOST = 110
_LABEL_PITCH = 14

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mark:
    """A label at a pixel position along an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Band:
    """A group of blocks: its pixel rows [top, bottom), and its name where there is room for it."""

    name: str
    top: int
    bottom: int
    shown: bool


@dataclass(frozen=True)
class Layout:
    """Positions in the picture. Boxes are (left, top, right, bottom), right and bottom exclusive.

    ``rows`` holds the top of each slot's row, int [slots]; ``columns`` the left edge of each step and the
    right edge of the last, int [steps + 1]. ``row_height`` and ``column_gap`` are the drawn height of a
    row and the gap that closes a column.
    """

    size: tuple[int, int]
    map: Box
    panel: Box
    rows: np.ndarray
    row_height: int
    columns: np.ndarray
    column_gap: int
    bands: tuple[Band, ...]
    blocks: tuple[Mark, ...]

    def cell(self, slot: int, step: int) -> tuple[int, int]:
        """The pixel in the middle of a cell; steps share pixels where there are more steps than pixels."""
        left, right = int(self.columns[step]), int(self.columns[step + 1]) - self.column_gap
        return (left + max(right, left + 1) - 1) // 2, int(self.rows[slot]) + (self.row_height - 1) // 2

    def row_pixels(self) -> np.ndarray:
        """The slot that each pixel row of the map shows, -1 for a gap, int [map height]."""
        _, top, _, bottom = self.map
        owner = np.full(bottom - top, -1)
        for line in range(self.row_height):
            owner[self.rows - top + line] = np.arange(len(self.rows))
        return owner

    def column_pixels(self) -> np.ndarray:
        """The step that each pixel column of the map shows, -1 for a gap, int [map width]."""
        owner = np.searchsorted(self.columns, np.arange(self.map[0], self.map[2]), side="right") - 1
        if self.column_gap:
            owner[self.columns[1:] - self.map[0] - 1] = -1
        return owner


def lay_out(plan: Plan, over: Columns) -> Layout:
    """The layout of the selection map of ``plan`` over the columns ``over``."""
    steps = len(over)
    names = [(slot.group, slot.block) for slot in plan.slots]
    pitch = max(1, min(_ROW_MOST, round(_MAP_HEIGHT / len(names))))
    top = HEADER + CAPTION
    tops = top + _row_offsets(names, pitch)
    gap = 1 if pitch >= _ROW_ROOMY else 0
    bottom = int(tops[-1]) + pitch - gap

    bands = _bands(names, tops, pitch - gap)
    blocks = _block_marks(names, tops, pitch - gap, bands)
    widest = max(width(text, LABEL) for text in ["100%", *(mark.text for mark in blocks)])
    left = MARGIN + BAND + 8 + widest + TICK
    columns = left + _column_edges(steps)
    right = int(columns[-1])
    roomy = gap and columns[1] - columns[0] >= _COLUMN_ROOMY
    panel_top = bottom + AXIS + CAPTION + 10
    return Layout(
        size=(right + RIGHT, panel_top + PANEL + AXIS + MARGIN // 2),
        map=(left, top, right, bottom),
        panel=(left, panel_top, right, panel_top + PANEL),
        rows=tops,
        row_height=pitch - gap,
        columns=columns,
        column_gap=int(roomy),
        bands=bands,
        blocks=blocks,
    )


def step_marks(layout: Layout, steps: int) -> list[Mark]:
    """Step numbers, from 1, under their columns: the first, round ones, the last."""
    room = (10 + width(str(steps), LABEL)) * steps / (layout.map[2] - layout.map[0])
    # Counting 1, 2, 4, 6 reads badly next to 1, 5, 10.
    stride = 1 if room <= 1 else _stride(steps, max(room, 5))
    numbers = {1, steps} | {n for n in range(stride, steps, stride) if n - 1 >= room and steps - n >= room}
    edges, gap = layout.columns, layout.column_gap
    return [Mark(float(edges[n - 1] + edges[n] - gap) / 2, str(n)) for n in sorted(numbers)]


def nice_ticks(top: float) -> list[float]:
    """Three to six round values from 0 up to ``top``."""
    raw = top / 4
    power = 10.0 ** np.floor(np.log10(raw))
    unit = next(u for u in (1, 2, 2.5, 5, 10) if u * power >= raw * 0.999) * power
    return [float(i * unit) for i in range(int(top / unit + 1e-9) + 1)]


def _column_edges(steps: int) -> np.ndarray:
    """Left edges of the columns and the last right edge: equal whole pixels while they fit."""
    total = min(max(1, round(_MAP_WIDTH / steps)) * steps, _MAP_WIDTH_MOST)
    return np.arange(steps + 1) * total // steps


def _runs(names: list[tuple[str, str]], part: int) -> list[tuple[str, int, int]]:
    """(name, first, last) of each run of slots with the same group (part 0) or block (part 1)."""
    runs = []
    for _, members in groupby(enumerate(names), key=lambda item: item[1][: part + 1]):
        indices = [index for index, _ in members]
        runs.append((names[indices[0]][part], indices[0], indices[-1]))
    return runs


def _row_offsets(names: list[tuple[str, str]], pitch: int) -> np.ndarray:
    blocks, groups = _runs(names, 1), _runs(names, 0)
    height = pitch * len(names)
    block_gap = (2 if pitch >= _ROW_ROOMY else 1) if height / len(blocks) >= 5 else 0
    group_gap = 5 if height / len(groups) >= 20 else block_gap
    gaps = np.zeros(len(names), dtype=int)
    gaps[[first for _, first, _ in blocks[1:]]] = block_gap
    gaps[[first for _, first, _ in groups[1:]]] = group_gap
    return np.arange(len(names)) * pitch + np.cumsum(gaps)


def _bands(names: list[tuple[str, str]], tops: np.ndarray, height: int) -> tuple[Band, ...]:
    bands = []
    for name, first, last in _runs(names, 0):
        top, bottom = int(tops[first]), int(tops[last]) + height
        bands.append(Band(name, top, bottom, width(name, LABEL) + 8 <= bottom - top))
    return tuple(bands)


def _block_marks(
    names: list[tuple[str, str]], tops: np.ndarray, height: int, bands: tuple[Band, ...]
) -> tuple[Mark, ...]:
    """Names of blocks beside their rows, thinned by whole strides where they would touch.

    A block says only its number where the band beside it says the group.
    """
    runs = _runs(names, 1)
    groups = _runs(names, 0)
    marks: list[Mark] = []
    for band, (group, start, stop) in zip(bands, groups, strict=True):
        inside = [run for run in runs if start <= run[1] <= stop]
        stride = _stride(len(inside), _LABEL_PITCH * len(inside) / (band.bottom - band.top + 2))
        for name, first, last in inside[::stride]:
            text = name.removeprefix(group).strip() if band.shown else name
            at = (int(tops[first]) + int(tops[last]) + height) / 2
            at = max(at, int(tops[0]) + 5)
            if text and (not marks or at - marks[-1].at >= _LABEL_PITCH):
                marks.append(Mark(at, elide(text, LABEL, _LABEL_MOST)))
    return tuple(marks)


def _stride(count: int, least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... that is at least ``least``."""
    scale = 1
    while scale <= count * 10:
        for factor in (1, 2, 5):
            if factor * scale >= least:
                return factor * scale
        scale *= 10
    return scale
