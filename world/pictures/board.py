"""A square with enlarged pictures and words on it, for thumbnails."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from klora_core import palette

SIDE, GAP = 640, 16
BADGE = 72
"""The height that the Templates browser covers with a badge of its own, at the left."""
SMALL, LARGE = 28, 38
"""Font sizes: at a width of 320 they are 14 and 19."""
_TAG_PAD = 8

Place = tuple[int, int]


class Board:
    """Pictures of 96 x 96 enlarged by a whole number, tags on them, and lines of text."""

    def __init__(self, size: Place = (SIDE, SIDE)) -> None:
        self.image = Image.new("RGB", size, palette.BACKGROUND)
        self._pen = ImageDraw.Draw(self.image)

    def picture(self, picture: Image.Image, at: Place, side: int, tag: str = "", role: str = "") -> None:
        """A picture as large as ``side``, its tag in the colour of its role."""
        self.image.paste(picture.resize((side, side), Image.Resampling.LANCZOS), at)
        if tag:
            self.tag(tag, at, role)

    def tag(self, text: str, corner: Place, role: str = "") -> None:
        """A small sign whose upper left is ``corner``."""
        font = ImageFont.load_default(SMALL)
        wide, high = self._pen.textlength(text, font) + 2 * _TAG_PAD, SMALL + 10
        box = [corner[0], corner[1], corner[0] + wide, corner[1] + high]
        ground = {"subject": palette.SUBJECT_COLOUR, "style": palette.STYLE_COLOUR}.get(
            role, palette.BACKGROUND
        )
        self._pen.rectangle(box, fill=ground)
        colour = palette.BACKGROUND if role == "subject" else "#ffffff"
        self._pen.text((corner[0] + _TAG_PAD, corner[1] + high / 2), text, colour, font, anchor="lm")

    def text(self, text: str, at: Place, size: int = SMALL, colour: str = palette.MUTED) -> None:
        """One or more lines; ValueError where they don't fit."""
        font = ImageFont.load_default(size)
        box = self._pen.multiline_textbbox(at, text, font, spacing=8)
        if box[2] > self.image.width or box[3] > self.image.height:
            raise ValueError(f"{text!r} ends at {box[2:]}, outside of {self.image.size}")
        self._pen.multiline_text(at, text, colour, font, spacing=8)

    def map(self, drawn: Image.Image, at: Place, size: Place) -> None:
        """The cells of a selection map, without its words."""
        self.image.paste(cells(drawn).resize(size, Image.Resampling.LANCZOS), at)


def cells(drawn: Image.Image) -> Image.Image:
    """A drawn selection map's cells: the first tall block of rows that are mostly candidates' colours."""
    pixels = np.asarray(drawn.convert("RGB")).astype(np.float32)
    known = np.any([_shaded(pixels, dark) for dark, _ in palette.candidates(8)], axis=0)
    rows = np.flatnonzero(known.mean(1) > 0.6)
    # Lines between blocks are a few pixels; what lies below the map is farther off.
    ends = np.flatnonzero(np.diff(rows) > 16)
    top, bottom = rows[0], rows[ends[0]] if len(ends) else rows[-1]
    columns = np.flatnonzero(known[top : bottom + 1].mean(0) > 0.6)
    return drawn.crop((int(columns[0]), int(top), int(columns[-1]) + 1, int(bottom) + 1))


def _shaded(pixels: np.ndarray, colour: str) -> np.ndarray:
    """Where pixels are a colour, or a paler one of it as on the map."""
    ground = np.array(palette.rgb(palette.PANEL), np.float32)
    way = np.array(palette.rgb(colour), np.float32) - ground
    share = ((pixels - ground) @ way) / (way @ way)
    off = np.abs(pixels - ground - share[..., None] * way).max(-1)
    return (off < 1) & (share > 0.25) & (share < 1.01)


HELP = 520
"""The width of a help page's picture: the page shows it at 260, so that letters of 22 are 11 there."""
_LETTERS = 22


def grid(pictures: Mapping[str, Image.Image], words: str, across: int) -> Image.Image:
    """Pictures under their tags, some a row, and lines of words below, for a help page."""
    cell, line = (HELP - (across + 1) * GAP) // across, _LETTERS + 14
    down = -(-len(pictures) // across)
    top = down * (line + cell + GAP // 2)
    board = Board((HELP, top + len(words.splitlines()) * (_LETTERS + 8) + GAP))
    for at, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(at, across)
        x, y = GAP + column * (cell + GAP), row * (line + cell + GAP // 2)
        board.text(name, (x, y + 6), _LETTERS, palette.TEXT)
        board.picture(picture, (x, y + line), cell)
    board.text(words, (GAP, top), _LETTERS)
    return board.image


def legend(drawn: Image.Image) -> Image.Image:
    """A drawn selection map's cells with large words, for a help page."""
    high, line = 420, _LETTERS + 20
    board = Board((HELP, 2 * line + high + GAP))
    board.tag("subject", (GAP, 4), "subject")
    board.tag("style", (GAP + 140, 4), "style")
    board.map(drawn, (GAP, line), (HELP - 2 * GAP, high))
    board.text("down: layers, right: steps", (GAP, line + high + 8), _LETTERS)
    return board.image


def strip(pictures: Mapping[str, Image.Image], words: str) -> Image.Image:
    """Pictures side by side under their tags, and a line of words below."""
    cell, line = 2 * 96, 44
    board = Board((len(pictures) * (cell + GAP) + GAP, line + cell + line))
    for at, (name, picture) in enumerate(pictures.items()):
        x = GAP + at * (cell + GAP)
        board.text(name, (x, 10), 20, palette.TEXT)
        board.picture(picture, (x, line), cell)
    board.text(words, (GAP, line + cell + 12), 17)
    return board.image
