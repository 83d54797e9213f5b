"""Draws the pack's icon and banner: `python -m tools.brand` rewrites assets/.

Both show what the pack does, as the selection map does: a row is a layer, a column a step, amber where the
subject LoRA works and blue where the style LoRA does.
"""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from klora_core.palette import BACKGROUND, MUTED, STYLE, SUBJECT, TEXT

from .host import REPO

ASSETS = REPO / "assets"

ICON_SIZE = 400
BANNER_SIZE = (1260, 540)
TITLE = "K-LoRA"
CLAIM = "Your subject in your style.", "No training, no strengths to balance."

# K, and the style in the last step, as in every run.
_MARK = ("x..x.", "x.x..", "xx...", "x.x..", "x..x.")
_CELL = 45
_SCALE = 4


def _cells(
    draw: ImageDraw.ImageDraw, rows: tuple[str, ...], left: float, top: float, cell: float, gap: float
) -> None:
    for y, row in enumerate(rows):
        for x, won in enumerate(row):
            box = [left + x * cell + gap / 2, top + y * cell + gap / 2]
            box += [box[0] + cell - gap, box[1] + cell - gap]
            draw.rounded_rectangle(box, radius=cell / 8, fill=SUBJECT if won == "x" else STYLE)


def icon() -> Image.Image:
    """The mark on a rounded dark square, transparent outside."""
    size = ICON_SIZE * _SCALE
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle([0, 0, size - 1, size - 1], radius=size * 0.16, fill=BACKGROUND)
    edge = size * 0.09
    cell = (size - 2 * edge) / len(_MARK)
    _cells(draw, _MARK, edge, edge, cell, cell * 0.12)
    return image.resize((ICON_SIZE, ICON_SIZE), Image.Resampling.LANCZOS)


def _map_rows(columns: int, rows: int) -> tuple[str, ...]:
    """Rows that switch once, each at its own step."""
    switches = [
        columns * (0.50 + 0.16 * math.sin(math.pi * (y + 0.5) / rows)) + 2.2 * math.sin(2.4 * y)
        for y in range(rows)
    ]
    return tuple("".join("x" if x < switch else "." for x in range(columns)) for switch in switches)


def banner() -> Image.Image:
    """Name and claim on a selection map, 21:9."""
    width, height = (side * _SCALE for side in BANNER_SIZE)
    cell = _CELL * _SCALE
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    _cells(draw, _map_rows(width // cell, height // cell), 0, 0, cell, cell * 0.12)
    draw.rectangle([3 * cell, 3 * cell, width - 3 * cell, height - 3 * cell], fill=BACKGROUND)
    mark = 4 * cell / len(_MARK)
    _cells(draw, _MARK, 4 * cell, 4 * cell, mark, mark * 0.12)
    text = 9 * cell
    draw.text((text, 3.55 * cell), TITLE, TEXT, ImageFont.load_default(2.5 * cell))
    for line, words in enumerate(CLAIM):
        draw.text((text, (6.55 + line) * cell), words, MUTED, ImageFont.load_default(0.72 * cell))
    return image.resize(BANNER_SIZE, Image.Resampling.LANCZOS)


def _save(image: Image.Image, path: Path) -> None:
    # A few flat colours: a palette loses nothing that can be seen and quarters the file.
    image.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Write both pictures."""
    ASSETS.mkdir(exist_ok=True)
    _save(icon(), ASSETS / "icon.png")
    _save(banner(), ASSETS / "banner.png")


if __name__ == "__main__":
    main()
