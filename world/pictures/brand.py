"""Draws the pack's icon and banner: `python -m world.pictures.brand` rewrites assets/.

Both show what the pack does, as the selection map does: a row is a layer, a column a step, amber where the
subject LoRA works and blue where the style LoRA does. The banner's pictures are made on the small world, in
a real ComfyUI, by the workflow Compare at the settings that stand below them.
"""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

from klora_core.palette import BACKGROUND, MUTED, STYLE_COLOUR, SUBJECT_COLOUR, TEXT
from tools.host.find import REPO

from .cast import LEAN, PAIR, WORLD, serving_world
from .files import save
from .shots import Shot, take

ASSETS = REPO / "assets"

ICON_SIZE = 400
BANNER_SIZE = (1260, 540)
TITLE = "K-LoRA"
CLAIM = "Your subject in your style.", "No training. One dial, not two strengths."

# K, and the style in the last step, as in every run.
_MARK = ("x..x.", "x.x..", "xx...", "x.x..", "x..x.")
_CELL = 45
# Median cut would lose the green; the registry's page loads the file.
_BANNER_BYTES = 60_000
_SCALE = 4


def _cells(
    draw: ImageDraw.ImageDraw, rows: tuple[str, ...], left: float, top: float, cell: float, gap: float
) -> None:
    for y, row in enumerate(rows):
        for x, won in enumerate(row):
            box = [left + x * cell + gap / 2, top + y * cell + gap / 2]
            box += [box[0] + cell - gap, box[1] + cell - gap]
            draw.rounded_rectangle(box, radius=cell / 8, fill=SUBJECT_COLOUR if won == "x" else STYLE_COLOUR)


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


def banner(shot: Shot) -> Image.Image:
    """Name and claim, subject, style and K-LoRA's picture, on a selection map, 21:9."""
    width, height = (side * _SCALE for side in BANNER_SIZE)
    cell = _CELL * _SCALE
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    _cells(draw, _map_rows(width // cell, height // cell), 0, 0, cell, cell * 0.12)
    draw.rectangle([cell, cell, width - cell, height - cell], fill=BACKGROUND)
    mark = 2.6 * cell / len(_MARK)
    _cells(draw, _MARK, 1.7 * cell, 1.6 * cell, mark, mark * 0.12)
    draw.text((5 * cell, 1.45 * cell), TITLE, TEXT, ImageFont.load_default(2.1 * cell))
    for line, words in enumerate(CLAIM):
        draw.text((13 * cell, (1.85 + line * 0.95) * cell), words, MUTED, ImageFont.load_default(0.7 * cell))
    _pictures(image, draw, shot, cell)
    return image.resize(BANNER_SIZE, Image.Resampling.LANCZOS)


def _pictures(image: Image.Image, draw: ImageDraw.ImageDraw, shot: Shot, cell: int) -> None:
    """Subject, style and K-LoRA with what they are beside them, and pair and settings below."""
    side, top = 2 * 96 * _SCALE, int(5.1 * cell)
    large, small = ImageFont.load_default(1.2 * cell), ImageFont.load_default(0.5 * cell)
    shown = (("subject only", "+", SUBJECT_COLOUR), ("style only", "=", STYLE_COLOUR), ("K-LoRA", "", TEXT))
    for at, (name, sign, colour) in enumerate(shown):
        x = int((3.7 + at * 8.2) * cell)
        image.paste(shot.pictures[name].resize((side, side), Image.Resampling.LANCZOS), (x, top))
        draw.rectangle([x, top, x + side, top + side], outline=colour, width=3 * _SCALE)
        draw.text((x + side + (8.2 * cell - side) / 2, top + side / 2), sign, TEXT, large, anchor="mm")
    words = f"{shot.cast.title}: {shot.settings}. {WORLD[0].upper()}{WORLD[1:]}."
    draw.text((3.7 * cell, top + side + 0.35 * cell), words, MUTED, small)


def main() -> None:
    """Write both pictures."""
    ASSETS.mkdir(exist_ok=True)
    # A few flat colours: a palette loses nothing that can be seen and quarters the file.
    flat = icon().quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    flat.save(ASSETS / "icon.png", optimize=True)
    with serving_world() as server:
        image = banner(take(server, "k-lora-compare", PAIR, LEAN))
    save(image.quantize(256, Image.Quantize.FASTOCTREE), ASSETS / "banner.png", _BANNER_BYTES)


if __name__ == "__main__":
    main()
