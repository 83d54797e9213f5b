"""A plot of scores from 0 to 1, and plots side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIDE, MARGIN = 330, 46
INK, GREY, FRONT, CURVE = "black", (170, 170, 170), (214, 120, 20), (20, 90, 180)
SINGLE = (120, 120, 120)
_GRID = (235, 235, 235)


class Plot:
    """A frame of `width` x SIDE pixels, with a title and a scale of scores at its left."""

    def __init__(self, title: str, scores: str, across: str, width: int = SIDE) -> None:
        self.width = width
        self.image = Image.new("RGB", (width + 2 * MARGIN, SIDE + 2 * MARGIN), "white")
        self.pen, self._font = ImageDraw.Draw(self.image), ImageFont.load_default(12)
        for i in range(6):
            y = self.y(i / 5)
            self.pen.line([(MARGIN, y), (MARGIN + width, y)], _GRID)
            self.text((MARGIN - 24, y - 7), f"{i / 5:.1f}")
        self.pen.rectangle([(MARGIN, MARGIN), (MARGIN + width, MARGIN + SIDE)], outline=INK)
        self.pen.text((MARGIN + width / 2, MARGIN + SIDE + 22), across, INK, self._font, anchor="ma")
        self.text((4, MARGIN - 20), scores)
        self.text((MARGIN + 40, 8), title)

    def y(self, score: float) -> float:
        """How far down a score lies."""
        return MARGIN + (1 - score) * SIDE

    def text(self, at: tuple[float, float], text: str, colour: str | tuple[int, int, int] = INK) -> None:
        """Words with their top left corner there."""
        self.pen.text(at, text, colour, self._font)

    def tick(self, x: float, text: str, line: bool = False) -> None:
        """A number under the frame, and a line of the grid above it."""
        if line:
            self.pen.line([(x, MARGIN + 1), (x, MARGIN + SIDE - 1)], _GRID)
        self.text((x - 8, MARGIN + SIDE + 4), text)

    def legend(self, told: Sequence[tuple[str, str | tuple[int, int, int]]]) -> None:
        """What the colours are, in the lower left corner."""
        for i, (text, colour) in enumerate(told):
            self.text((MARGIN + 6, MARGIN + SIDE - 16 * (len(told) - i) - 2), text, colour)


def save(path: Path, plots: Sequence[Plot]) -> None:
    """Side by side, in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (sum(each.image.width for each in plots), plots[0].image.height))
    left = 0
    for each in plots:
        image.paste(each.image, (left, 0))
        left += each.image.width
    image.save(path, optimize=True)
