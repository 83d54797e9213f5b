"""The panel below the selection map: the candidates' shares, the method's curve, and their axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .. import palette
from ..methods import Method
from ..progress import Columns
from .layout import AXIS, CAPTION, LABEL, MARGIN, TICK, UNIT, Box, Layout, nice_ticks
from .lettering import Pen, width

_CURVE_OVERSAMPLE = 4


def shares(
    image: Image.Image, layout: Layout, share: np.ndarray, labels: Sequence[str], colours: Sequence[str]
) -> None:
    """The shares of all candidates but the first, stacked; ``share`` is float [candidates, columns]."""
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, top, right, bottom = layout.panel
    canvas.rectangle(_inside(layout.panel), fill=palette.PANEL)
    for column in range(share.shape[1]):
        first, last = int(layout.columns[column]), int(layout.columns[column + 1]) - 1 - layout.column_gap
        heights = np.rint(np.cumsum(share[1:, column]) * (bottom - top)).astype(int)
        low = 0
        for height, colour in zip(heights.tolist(), colours[1:], strict=True):
            if height > low and last >= first:
                canvas.rectangle((first, bottom - height, last, bottom - low - 1), fill=colour)
            low = height
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * (bottom - top)
        canvas.line((left - 5, y, left - 2, y), fill=palette.MUTED)
        pen.write((left - TICK, y), f"{part:.0%}", LABEL, palette.MUTED, "r")
    y = top - CAPTION // 2 - 1
    x = MARGIN
    for colour in colours[1:]:
        chip(image, x, y, colour)
        x += 18
    which = f"the {labels[1]}" if len(labels) == 2 else "each LoRA but the first"
    pen.write((x, y), f"share of the slots that use {which}", LABEL, palette.MUTED)


def curve(image: Image.Image, layout: Layout, method: Method, over: Columns) -> None:
    """The method's curve over the panel, its axis on the right, and its line at 1, where equal LoRAs tie.

    Where a column is a step at a progress of its own, the curve has one level a step.
    """
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, top, right, bottom = layout.panel
    at, scales, tied = _curve_points(layout, method, over)
    if not len(scales):
        progress_axis(image, layout, layout.panel)
        return
    ceiling = max(1.0, float(scales.max())) * 1.12

    def height(scale: float) -> float:
        return bottom - scale / ceiling * (bottom - top)

    one = height(1.0)
    for x in range(left, right, 8):
        canvas.line((x, one, min(x + 3, right - 1), one), fill=palette.MUTED)
    # S* wraps once: the two branches are no one line.
    wraps = np.flatnonzero(np.diff(scales) < 0) + 1 if tied else np.empty(0, dtype=int)
    for part in np.split(np.arange(len(scales)), wraps):
        _stroke(image, layout.panel, [(float(at[i]), height(float(scales[i]))) for i in part])
    canvas.line((right + 1, one, right + 4, one), fill=palette.TEXT)
    name = method.curve()
    pen.write((right + TICK, one), f"{name} = 1", LABEL, palette.TEXT)
    for tick in nice_ticks(ceiling):
        if abs(height(tick) - one) >= 13:
            canvas.line((right + 1, height(tick), right + 4, height(tick)), fill=palette.MUTED)
            pen.write((right + TICK, height(tick)), f"{tick:.4g}", LABEL, palette.MUTED)
    y = top - CAPTION // 2 - 1
    pen.write((right, y), f"{name}(x)", LABEL, palette.MUTED, "r")
    start = right - width(f"{name}(x)", LABEL) - 8
    canvas.line((start - 18, y, start, y), fill=palette.TEXT, width=2)
    if tied:
        progress_axis(image, layout, layout.panel)


def _curve_points(layout: Layout, method: Method, over: Columns) -> tuple[np.ndarray, np.ndarray, bool]:
    """(x pixels, values) of the curve, and whether x is progress all along the panel."""
    left, _, right, _ = layout.panel
    count = len(over)
    tied = all(abs(moment.x - (i + 0.5) / count) < 1e-9 for i, moment in enumerate(over.moments))
    if tied:
        progress = (np.arange(2 * (right - left)) + 0.5) / (2 * (right - left))
        at = left + progress * (right - left)
    else:
        progress = np.repeat([moment.x for moment in over.moments], 2)
        at = np.repeat(layout.columns, 2)[1:-1].astype(np.float64)
    values = [method.scale(float(x)) for x in progress]
    if any(value is None for value in values):
        return at, np.empty(0), tied
    return at, np.array(values, dtype=np.float64), tied


def _stroke(image: Image.Image, box: Box, points: list[tuple[float, float]]) -> None:
    """A smooth line with a dark rim, so that it shows on bars and panel alike."""
    left, top, right, bottom = box
    k = _CURVE_OVERSAMPLE
    scaled = [((x - left) * k, (y - top) * k) for x, y in points]
    for thickness, colour in ((4.5, palette.BACKGROUND), (2.0, palette.TEXT)):
        mask = Image.new("L", ((right - left) * k, (bottom - top) * k), 0)
        ImageDraw.Draw(mask).line(scaled, fill=255, width=round(thickness * k), joint="curve")
        image.paste(colour, box, mask.reduce(k))


def progress_axis(image: Image.Image, layout: Layout, box: Box) -> None:
    """Progress from 0 to 1 under ``box``."""
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, _, right, bottom = box
    y = bottom + AXIS // 2 + 3
    pen.write((right + UNIT, y), "progress x", LABEL, palette.MUTED)
    for x in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = left + x * (right - left)
        canvas.line((at, bottom + 2, at, bottom + 5), fill=palette.MUTED)
        pen.write((at, y), f"{x:g}", LABEL, palette.MUTED, "m")


def chip(image: Image.Image, x: int, y: int, colour: str) -> None:
    """A square of a candidate's colour, its left edge at ``x``, its middle at ``y``."""
    ImageDraw.Draw(image).rectangle((x, y - 5, x + 10, y + 5), fill=colour)


def _inside(box: Box) -> Box:
    """The box with inclusive right and bottom, as Pillow's shapes want it."""
    return box[0], box[1], box[2] - 1, box[3] - 1
