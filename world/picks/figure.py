"""Score against picks: what was learned from 1, 2, 4, 8 and 16 pictures, beside what the rules have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..quality.figures import CURVE, FRONT, INK, MARGIN, SIDE
from ..quality.stats import Estimate

PICKED = (1, 2, 4, 8, 16)
_WIDE = 1.5
_ERRS, _SINGLE = (170, 30, 90), (120, 120, 120)


def panel(
    title: str, learned: Sequence[Estimate], errs: Estimate, rules: Sequence[tuple[str, Estimate]]
) -> Image.Image:
    """One world's plot: scores from 0 up, numbers of picks by doubling, bars of one standard error."""
    width = round(SIDE * _WIDE)
    image = Image.new("RGB", (width + 2 * MARGIN, SIDE + 2 * MARGIN), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(12)

    def at(place: float, score: float) -> tuple[float, float]:
        return MARGIN + width * (place + 0.5) / len(PICKED), MARGIN + (1 - score) * SIDE

    for i in range(6):
        y = at(0, i / 5)[1]
        pen.line([(MARGIN, y), (MARGIN + width, y)], (235, 235, 235))
        pen.text((MARGIN - 24, y - 7), f"{i / 5:.1f}", INK, font)
    pen.rectangle([MARGIN, MARGIN, MARGIN + width, MARGIN + SIDE], outline=INK)
    pen.text((MARGIN, 8), title, INK, font)
    pen.text((4, MARGIN - 20), "both", INK, font)
    pen.text((MARGIN + width / 2 - 40, MARGIN + SIDE + 22), "pictures picked", INK, font)
    for (_, score), colour in zip(rules, (_SINGLE, FRONT), strict=True):
        y = at(0, score.mean)[1]
        pen.line([(MARGIN, y), (MARGIN + width, y)], colour, 2)
    pen.line([at(i, each.mean) for i, each in enumerate(learned)], CURVE, 2)
    marks = [*((i, each, CURVE) for i, each in enumerate(learned)), (PICKED.index(4) + 0.12, errs, _ERRS)]
    for place, each, colour in marks:
        x, y = at(place, each.mean)
        pen.line([at(place, each.mean - each.error), at(place, each.mean + each.error)], colour, 2)
        pen.ellipse([(x - 4, y - 4), (x + 4, y + 4)], fill=colour)
    told = [
        ("learned from the best", CURVE),
        ("learned from four, a fifth of them at random", _ERRS),
        *((name, colour) for (name, _), colour in zip(rules, (_SINGLE, FRONT), strict=True)),
    ]
    for i, (name, colour) in enumerate(told):
        pen.text((MARGIN + 8, MARGIN + SIDE - 16 * (len(told) - i) - 6), name, colour, font)
    for i, count in enumerate(PICKED):
        pen.text((at(i, 0)[0] - 4, MARGIN + SIDE + 4), str(count), INK, font)
    return image


def write(path: Path, panels: Sequence[Image.Image]) -> None:
    """Side by side."""
    image = Image.new("RGB", (sum(each.width for each in panels), panels[0].height))
    for i, each in enumerate(panels):
        image.paste(each, (i * each.width, 0))
    image.save(path, optimize=True)
