"""The selection map: which LoRA each slot uses in each step of a run, as an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .. import palette
from ..errors import KLoraError
from ..plan import Plan
from ..progress import Columns
from .layout import AXIS, BAND, CAPTION, LABEL, MARGIN, TICK, UNIT, Layout, lay_out, step_marks
from .lettering import Pen, elide, width
from .panel import chip, curve, progress_axis, shares

_TITLE, _SUB = 17, 13
_STRIPE = 3


def draw(plan: Plan, over: Columns) -> Image.Image:
    """The selection map of ``plan`` over the columns ``over``, mode RGB.

    Slots by depth against steps or progress, under it the share of each candidate, and the method's curve
    where it has one. Several passes share a cell in stripes. Raises KLoraError without slots.
    """
    if not plan.slots:
        raise KLoraError(
            "there is no selection to draw: the LoRAs change no layer in common.",
            "Use LoRAs of the same base model",
        )
    layout = lay_out(plan, over)
    of_families = [dark for dark, _ in palette.shaded(plan.family_places)]
    colours = [dark for dark, _ in palette.shaded(plan.colour_places, plan.method.depths())]
    image = Image.new("RGB", layout.size, palette.BACKGROUND)
    _header(image, plan, over, of_families)
    mixed = plan.method.mixed(over)
    cells = (
        _striped(layout, plan.choices(over), colours) if mixed is None else _blended(layout, mixed, colours)
    )
    _map(image, layout, cells)
    _depth_axis(image, layout)
    if over.are_steps:
        _step_axis(image, layout, len(over))
    else:
        progress_axis(image, layout, layout.map)
    shares(image, layout, plan.family_shares(over), plan.family_names, of_families)
    curve(image, layout, plan.method, over)
    return image


def _header(image: Image.Image, plan: Plan, over: Columns, colours: Sequence[str]) -> None:
    pen = Pen(image)
    names = {lora: lora_info.name for lora, lora_info in zip(plan.labels, plan.loras, strict=True)}
    entries = [
        (label, names.get(label, ""), colour)
        for label, colour in zip(plan.family_names, colours, strict=True)
    ]
    lead = [10 + 8 + width(label, _SUB) + 8 for label, _, _ in entries]
    room = image.width - 2 * MARGIN - sum(lead) - 32 * (len(entries) - 1)
    rooms = _split(room, [width(name, _TITLE) if name else 0 for _, name, _ in entries])
    x = MARGIN
    for (label, name, colour), ahead, space in zip(entries, lead, rooms, strict=True):
        chip(image, x, 32, colour)
        pen.write((x + 18, 32), label, _SUB, palette.MUTED)
        name = elide(name, _TITLE, space)
        pen.write((x + ahead, 32), name, _TITLE, palette.TEXT)
        x += ahead + width(name, _TITLE) + 32
    facts = elide(_facts(plan, over), _SUB, image.width - 2 * MARGIN)
    pen.write((MARGIN, 60), facts, _SUB, palette.MUTED)


def _facts(plan: Plan, over: Columns) -> str:
    slots, columns = len(plan.slots), len(over)
    facts = [plan.method.name]
    facts += [f"{fact.label} {fact.value}" for fact in plan.method.facts()]
    facts.append(f"{slots} competing slot{'s' * (slots != 1)}")
    facts.append(f"{columns} step{'s' * (columns != 1)}" if over.are_steps else "over progress")
    return "  \N{MIDDLE DOT}  ".join(facts)


def _split(room: int, wanted: Sequence[int]) -> list[int]:
    """Room for names side by side: equal parts, and what one does not need goes to the others."""
    rooms = [0] * len(wanted)
    waiting = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for done, i in enumerate(waiting):
        rooms[i] = min(wanted[i], room // (len(waiting) - done))
        room -= rooms[i]
    return rooms


def _striped(layout: Layout, choices: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """The cells' pixels, uint8 [y, x, 3]; ``choices`` is int8 [passes, slots, columns], -1 for nobody."""
    rows, columns = layout.row_pixels(), layout.column_pixels()
    paint = np.array([palette.rgb(c) for c in (palette.PANEL, *colours)], dtype=np.uint8)
    y, x = np.indices((len(rows), len(columns)))
    # One pass is one colour; several lie in diagonal stripes.
    passes = (x + y) // _STRIPE % len(choices)
    return paint[choices[passes, rows[:, None], columns[None, :]] + 1]


def _blended(layout: Layout, mixed: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """The same where candidates work together, ``mixed`` by how much; [candidates, slots, columns]."""
    paint = np.array([palette.rgb(c) for c in colours], dtype=np.float64)
    cells = np.rint(np.einsum("csx,cp->sxp", mixed, paint)).astype(np.uint8)
    return cells[layout.row_pixels()[:, None], layout.column_pixels()[None, :]]


def _map(image: Image.Image, layout: Layout, pixels: np.ndarray) -> None:
    """Paint the cells, and what lies between them."""
    rows, columns = layout.row_pixels(), layout.column_pixels()
    pixels[rows < 0] = palette.rgb(palette.BACKGROUND)
    pixels[:, columns < 0] = palette.rgb(palette.BACKGROUND)
    image.paste(Image.fromarray(pixels), layout.map[:2])


def _depth_axis(image: Image.Image, layout: Layout) -> None:
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    left, top, _, _ = layout.map
    caption = "layer slots by depth, input at the top"
    pen.write((MARGIN, top - CAPTION // 2 - 1), caption, LABEL, palette.MUTED)
    for band in layout.bands:
        canvas.rectangle((MARGIN, band.top, MARGIN + BAND - 1, band.bottom - 1), fill=palette.BAND)
        if band.shown:
            middle = (MARGIN + BAND / 2, (band.top + band.bottom) / 2)
            pen.write(middle, band.name, LABEL, palette.TEXT, turned=True)
    for mark in layout.blocks:
        pen.write((left - TICK, mark.at), mark.text, LABEL, palette.MUTED, "r")


def _step_axis(image: Image.Image, layout: Layout, steps: int) -> None:
    pen, canvas = Pen(image), ImageDraw.Draw(image)
    _, _, right, bottom = layout.map
    y = bottom + AXIS // 2 + 3
    pen.write((right + UNIT, y), "step", LABEL, palette.MUTED)
    for mark in step_marks(layout, steps):
        canvas.line((mark.at, bottom + 2, mark.at, bottom + 5), fill=palette.MUTED)
        pen.write((mark.at, y), mark.text, LABEL, palette.MUTED, "m")
