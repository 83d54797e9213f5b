"""The demo's sheet: one way of fusing a column, a pair's starting noises the rows, a selection map below."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file

from world.places import BASE_FILE

from .run import BALANCE, COUNT, KLORA, PAIRS, PICTURES, STYLE, SUBJECT, SUM, WAYS, WORLD, key

_SIDE, _GAP, _TOP, _LEFT, _FOOT = 160, 6, 56, 96, 44
_BELOW = {
    SUBJECT: "strength 1",
    STYLE: "strength 1",
    SUM: "both at strength 1",
    KLORA: f"schedule s, balance {BALANCE:g}",
}


def sheet(folder: Path, where: str) -> Image.Image:
    """The sheet of the pictures in ``folder``; ``where`` says what made them."""
    width = _LEFT + len(WAYS) * (_SIDE + _GAP)
    plan = Image.open(folder / "selection-map.png").convert("RGB")
    plan = plan.resize((width, round(plan.height * width / plan.width)), Image.Resampling.LANCZOS)
    top = _TOP + len(PAIRS) * COUNT * (_SIDE + _GAP)
    image = Image.new("RGB", (width, top + _FOOT // 2 + plan.height + _FOOT), "white")
    pen, font, small = ImageDraw.Draw(image), ImageFont.load_default(16), ImageFont.load_default(12)
    for column, way in enumerate(WAYS):
        x = _LEFT + column * (_SIDE + _GAP)
        pen.text((x, 8), way, "black", font)
        pen.text((x, 32), _BELOW[way], "#555555", small)
    _pictures(image, pen, folder)
    pen.text(
        (_GAP, top + 2), f"K-LoRA's choices for {PAIRS[0].subject} in {PAIRS[0].style}:", "#555555", small
    )
    image.paste(plan, (0, top + _FOOT // 2))
    pen.multiline_text((_GAP, image.height - _FOOT + 5), _caption(where), "#555555", small)
    return image


def _pictures(image: Image.Image, pen: ImageDraw.ImageDraw, folder: Path) -> None:
    pictures, font = load_file(folder / PICTURES), ImageFont.load_default(14)
    for i, pair in enumerate(PAIRS):
        first = _TOP + i * COUNT * (_SIDE + _GAP)
        pen.multiline_text((_GAP, first + _SIDE - 10), f"{pair.subject}\nin {pair.style}", "black", font)
        for column, way in enumerate(WAYS):
            for row, pixels in enumerate(pictures[key(pair, way)]):
                picture = Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy())
                place = _LEFT + column * (_SIDE + _GAP), first + row * (_SIDE + _GAP)
                image.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), place)


def _caption(where: str) -> str:
    size = BASE_FILE.stat().st_size / 1e6
    return (
        f"A small world ({size:.0f} MB in SD3's format, {WORLD} LoRAs), made by {where}. "
        "The prompt names both triggers.\n"
        "The first pair goes well, the second badly: bench/QUALITY.md has all."
    )
