"""Lays a workflow out so that a template is readable as it opens, in the classic renderer too.

The page opens a template so that its nodes fill three quarters of the window, and the classic renderer draws
no text below a zoom of 8 / 14. In a window of 1100 x 700 that leaves 1,423 x 898 units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .canvas import TITLE_BAR, Canvas, Json

WIDE, HIGH = 1410, 890
"""A template's nodes at most, title bars included."""
FILL = 0
"""The height of a node that takes what its column leaves."""
_GAP, _HEAD, _PAD, _BETWEEN = 12, 42, 14, 16
_LEAST, _MISSING = 72, 22


@dataclass(frozen=True)
class Box:
    """Nodes below each other in a titled group."""

    title: str
    colour: str
    width: int
    nodes: Sequence[Json]

    @property
    def least(self) -> int:
        """Its height where nodes that fill are as low as may be."""
        return sum(TITLE_BAR + (_body(node) or _LEAST * _fills(node)) + _GAP for node in self.nodes) - _GAP

    @property
    def fills(self) -> int:
        """How many of its nodes take what is left."""
        return sum(_fills(node) for node in self.nodes)


Column = Sequence[Sequence[Box]]
"""Shelves from top to bottom, each of boxes side by side."""


def lay_out(canvas: Canvas, *columns: Column) -> None:
    """Place columns from left to right. ValueError where they need more than WIDE x HIGH."""
    left = 0
    for shelves in columns:
        left = _column(canvas, left, shelves) + 2 * _PAD + _BETWEEN
    if left - 2 * _PAD - _BETWEEN > WIDE:
        raise ValueError(f"the columns are {left - 2 * _PAD - _BETWEEN} wide, {WIDE} at most.")


def _column(canvas: Canvas, left: int, shelves: Column) -> int:
    """Place one column; returns its right edge."""
    heights = [max(box.least for box in shelf) for shelf in shelves]
    step = 2 * _PAD + _BETWEEN + _HEAD - _PAD
    spare = HIGH - sum(heights) - step * (len(shelves) - 1)
    if spare < 0:
        raise ValueError(f"a column is {HIGH - spare} high, {HIGH} at most: {shelves[0][0].title}.")
    growing = next((at for at, shelf in enumerate(shelves) if any(box.fills for box in shelf)), None)
    top, right = 0, left
    for at, shelf in enumerate(shelves):
        height = heights[at] + (spare if at == growing else 0)
        x = left
        for box in shelf:
            _place(canvas, box, x, top, height)
            right = max(right, x + box.width)
            x += box.width + 2 * _PAD + _BETWEEN
        top += height + step
    return right


def _place(canvas: Canvas, box: Box, left: int, top: int, height: int) -> None:
    for node in filter(_collapsed, box.nodes):
        # Nodes 2.0 opens a template so that a collapsed node has room for the size that is saved; unfolded,
        # it takes what it needs.
        node["size"][1] = 0
    bottom = _stack(box, left, top, height)
    bounding = [left - _PAD, top - _HEAD, box.width + 2 * _PAD, bottom - top + _HEAD + _PAD]
    group = {"id": len(canvas.groups) + 1, "title": box.title, "bounding": bounding, "color": box.colour}
    canvas.groups.append({**group, "font_size": 24, "flags": {}})


def _stack(box: Box, left: int, top: int, height: int) -> int:
    more = (height - box.least) // box.fills if box.fills else 0
    for node in box.nodes:
        if _fills(node):
            node["size"][1] = _LEAST + more
        node["size"][0] = box.width
        node["pos"] = [left, top + TITLE_BAR]
        top += TITLE_BAR + _body(node) + _GAP
    return top - _GAP


def _collapsed(node: Json) -> bool:
    return bool(node["flags"].get("collapsed"))


def _body(node: Json) -> int:
    """The height below the title bar; Nodes 2.0 says there that a collapsed node's file is missing."""
    if _collapsed(node):
        return _MISSING if "models" in node["properties"] else 0
    return int(node["size"][1])


def _fills(node: Json) -> bool:
    return not _collapsed(node) and node["size"][1] == FILL
