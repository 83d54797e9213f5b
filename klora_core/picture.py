"""The selection map: which LoRA each slot uses in each step of a run, as an image."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from . import palette
from .errors import KLoraError
from .picture_layout import (
    AXIS,
    BAND,
    CAPTION,
    LABEL,
    MARGIN,
    TICK,
    Box,
    Layout,
    layout,
    nice_ticks,
    step_marks,
)
from .picture_text import Pen, elide, width
from .plan import Plan
from .schedules import Schedule

_TITLE, _SUB = 17, 13
# Names of the x axes stand right of the last number, which is centred on or before the edge.
_UNIT = 20
_CURVE_OVERSAMPLE = 4


def draw(plan: Plan, steps: int) -> Image.Image:
    """The selection map of ``plan`` for a run of ``steps`` steps, mode RGB.

    Slots by depth against steps, under it the share of the style and the schedule S(x) in the same
    columns. Raises KLoraError without slots or steps.
    """
    if not plan.slots:
        raise KLoraError(
            "There is no selection to draw: the subject and the style LoRA change no layer in common. "
            "Use two LoRAs of the same base model."
        )
    place = layout(plan, steps)
    image = Image.new("RGB", place.size, palette.BACKGROUND)
    _header(image, plan, steps)
    _map(image, place, plan.choices(steps))
    _depth_axis(image, place)
    _step_axis(image, place, steps)
    _share(image, place, plan.shares(steps))
    _curve(image, place, plan.schedule)
    _progress_axis(image, place)
    return image


def _header(image: Image.Image, plan: Plan, steps: int) -> None:
    pen = Pen(image)
    roles = (("subject", plan.subject.name, palette.SUBJECT), ("style", plan.style.name, palette.STYLE))
    lead = [10 + 8 + width(role, _SUB) + 8 for role, _, _ in roles]
    room = image.width - 2 * MARGIN - sum(lead) - 32
    rooms = _split(room, width(plan.subject.name, _TITLE), width(plan.style.name, _TITLE))
    x = MARGIN
    for (role, name, colour), ahead, space in zip(roles, lead, rooms, strict=True):
        _chip(image, x, 32, colour)
        pen.write((x + 18, 32), role, _SUB, palette.MUTED)
        name = elide(name, _TITLE, space)
        pen.write((x + ahead, 32), name, _TITLE, palette.TEXT)
        x += ahead + width(name, _TITLE) + 32
    pen.write((MARGIN, 60), elide(_facts(plan, steps), _SUB, image.width - 2 * MARGIN), _SUB, palette.MUTED)


def _facts(plan: Plan, steps: int) -> str:
    schedule, count = plan.schedule, len(plan.slots)
    facts = (
        f"schedule {schedule.name.upper()}",
        f"alpha {schedule.alpha:.4g}",
        f"beta {schedule.beta:.4g}",
        f"balance {schedule.balance:.3g}",
        f"gamma {plan.gamma.value:.4g} ({plan.gamma.mode})",
        f"{count} competing slot{'s' * (count != 1)}",
        f"{steps} step{'s' * (steps != 1)}",
    )
    return "  \N{MIDDLE DOT}  ".join(facts)


def _split(room: int, one: int, other: int) -> tuple[int, int]:
    """Room for two names: half each, and what one does not need goes to the other."""
    half = room // 2
    if one <= half:
        return one, room - one
    return (room - other, other) if other <= half else (half, half)


def _map(image: Image.Image, place: Layout, choices: np.ndarray) -> None:
    """Paint the cells; ``choices`` is int8 [slots, steps]."""
    rows, columns = place.row_pixels(), place.column_pixels()
    colours = np.array([palette.rgb(c) for c in (palette.SUBJECT, palette.STYLE)], dtype=np.uint8)
    pixels = colours[choices[rows[:, None], columns[None, :]]]
    pixels[rows < 0] = palette.rgb(palette.BACKGROUND)
    pixels[:, columns < 0] = palette.rgb(palette.BACKGROUND)
    image.paste(Image.fromarray(pixels), place.map[:2])


def _depth_axis(image: Image.Image, place: Layout) -> None:
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, top, _, _ = place.map
    caption = "layer slots by depth, input at the top"
    pen.write((MARGIN, top - CAPTION // 2 - 1), caption, LABEL, palette.MUTED)
    for band in place.bands:
        canvas.rectangle((MARGIN, band.top, MARGIN + BAND - 1, band.bottom - 1), fill=palette.BAND)
        if band.shown:
            middle = (MARGIN + BAND / 2, (band.top + band.bottom) / 2)
            pen.write(middle, band.name, LABEL, palette.TEXT, turned=True)
    for mark in place.blocks:
        pen.write((left - TICK, mark.at), mark.text, LABEL, palette.MUTED, "r")


def _step_axis(image: Image.Image, place: Layout, steps: int) -> None:
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    _, _, right, bottom = place.map
    y = bottom + AXIS // 2 + 3
    pen.write((right + _UNIT, y), "step", LABEL, palette.MUTED)
    for mark in step_marks(place, steps):
        canvas.line((mark.at, bottom + 2, mark.at, bottom + 5), fill=palette.MUTED)
        pen.write((mark.at, y), mark.text, LABEL, palette.MUTED, "m")


def _share(image: Image.Image, place: Layout, shares: np.ndarray) -> None:
    """The share of the style as one bar a step; ``shares`` is float [steps] in [0, 1]."""
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, top, right, bottom = place.panel
    canvas.rectangle(_inside(place.panel), fill=palette.PANEL)
    for step, share in enumerate(shares):
        height = round(float(share) * (bottom - top))
        first, last = int(place.columns[step]), int(place.columns[step + 1]) - 1 - place.column_gap
        if height and last >= first:
            canvas.rectangle((first, bottom - height, last, bottom - 1), fill=palette.STYLE)
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        canvas.line((left - 5, y, left - 2, y), fill=palette.MUTED)
        pen.write((left - TICK, y), f"{share:.0%}", LABEL, palette.MUTED, "r")
    y = top - CAPTION // 2 - 1
    _chip(image, MARGIN, y, palette.STYLE)
    pen.write((MARGIN + 18, y), "share of the slots that use the style", LABEL, palette.MUTED)


def _curve(image: Image.Image, place: Layout, schedule: Schedule) -> None:
    """S(x) over the panel, its axis on the right, and the line S = 1 where equal LoRAs tie."""
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, top, right, bottom = place.panel
    progress = (np.arange(2 * (right - left)) + 0.5) / (2 * (right - left))
    scales = np.array([schedule.scale(float(x)) for x in progress])
    ceiling = max(1.0, float(scales.max())) * 1.12

    def height(scale: float) -> float:
        return bottom - scale / ceiling * (bottom - top)

    one = height(1.0)
    for x in range(left, right, 8):
        canvas.line((x, one, min(x + 3, right - 1), one), fill=palette.MUTED)
    # S* wraps once: the two branches are no one line.
    wraps = np.flatnonzero(np.diff(scales) < 0) + 1
    for part in np.split(np.arange(len(scales)), wraps):
        points = [(left + float(progress[i]) * (right - left), height(float(scales[i]))) for i in part]
        _stroke(image, place.panel, points)
    canvas.line((right + 1, one, right + 4, one), fill=palette.TEXT)
    pen.write((right + TICK, one), "S = 1", LABEL, palette.TEXT)
    for tick in nice_ticks(ceiling):
        if abs(height(tick) - one) >= 13:
            canvas.line((right + 1, height(tick), right + 4, height(tick)), fill=palette.MUTED)
            pen.write((right + TICK, height(tick)), f"{tick:.4g}", LABEL, palette.MUTED)
    y = top - CAPTION // 2 - 1
    name = f"{schedule.name.upper()}(x)"
    pen.write((right, y), name, LABEL, palette.MUTED, "r")
    start = right - width(name, LABEL) - 8
    canvas.line((start - 18, y, start, y), fill=palette.TEXT, width=2)


def _stroke(image: Image.Image, box: Box, points: list[tuple[float, float]]) -> None:
    """A smooth line with a dark rim, so that it shows on bars and panel alike."""
    left, top, right, bottom = box
    k = _CURVE_OVERSAMPLE
    scaled = [((x - left) * k, (y - top) * k) for x, y in points]
    for thickness, colour in ((4.5, palette.BACKGROUND), (2.0, palette.TEXT)):
        mask = Image.new("L", ((right - left) * k, (bottom - top) * k), 0)
        ImageDraw.Draw(mask).line(scaled, fill=255, width=round(thickness * k), joint="curve")
        image.paste(colour, box, mask.reduce(k))


def _progress_axis(image: Image.Image, place: Layout) -> None:
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, _, right, bottom = place.panel
    y = bottom + AXIS // 2 + 3
    pen.write((right + _UNIT, y), "progress x", LABEL, palette.MUTED)
    for x in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = left + x * (right - left)
        canvas.line((at, bottom + 2, at, bottom + 5), fill=palette.MUTED)
        pen.write((at, y), f"{x:g}", LABEL, palette.MUTED, "m")


def _chip(image: Image.Image, x: int, y: int, colour: str) -> None:
    ImageDraw.Draw(image).rectangle((x, y - 5, x + 10, y + 5), fill=colour)


def _inside(box: Box) -> Box:
    """The box with inclusive right and bottom, as Pillow's shapes want it."""
    return box[0], box[1], box[2] - 1, box[3] - 1
