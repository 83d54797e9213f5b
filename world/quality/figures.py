"""One figure a control: subject against style, its curve, the plain sum's curve, and the Pareto front of all
points.
"""

from __future__ import annotations

import json

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..places import REPO
from .cells import WORLDS
from .stats import Scores, style, subject
from .sweeps import CURVES, RESULTS, Point, points, sweep_cells

FOLDER = REPO / "bench" / "figures"
SIDE, MARGIN = 330, 46
INK, GREY, FRONT, CURVE = "black", (170, 170, 170), (214, 120, 20), (20, 90, 180)

Spot = tuple[float, float]


def measured(world: str) -> list[dict[str, Scores]]:
    """The tuning pairs whose sweep is done."""
    paths = [RESULTS / c.path.name for c in sweep_cells() if c.world == world]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def spots(world: str) -> dict[str, Spot]:
    """(subject, style) of every point's key, means over the tuning pairs."""
    kept = measured(world)
    keys = {p.key for p in points()}
    return {
        k: (
            float(np.mean([subject(cell[k]) for cell in kept])),
            float(np.mean([style(cell[k]) for cell in kept])),
        )
        for k in keys
    }


def front(found: list[Spot]) -> list[Spot]:
    """Points that no other beats on both axes, by rising subject."""
    best = [p for p in found if not any(q[0] >= p[0] and q[1] >= p[1] and q != p for q in found)]
    return sorted(set(best))


def panel(world: str, curve: str) -> Image.Image:
    """One world's plot."""
    image = Image.new("RGB", (SIDE + 2 * MARGIN, SIDE + 2 * MARGIN), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    found = spots(world)

    def at(spot: Spot) -> Spot:
        return MARGIN + spot[0] * SIDE, MARGIN + (1 - spot[1]) * SIDE

    for i in range(6):
        x, y = at((i / 5, i / 5))
        pen.line([(x, MARGIN), (x, MARGIN + SIDE)], (235, 235, 235))
        pen.line([(MARGIN, y), (MARGIN + SIDE, y)], (235, 235, 235))
        pen.text((x - 8, MARGIN + SIDE + 4), f"{i / 5:.1f}", INK, font)
        pen.text((MARGIN - 24, y - 7), f"{i / 5:.1f}", INK, font)
    pen.rectangle([at((0, 1)), at((1, 0))], outline=INK)
    pen.text((MARGIN + SIDE / 2 - 20, MARGIN + SIDE + 22), "subject", INK, font)
    pen.text((4, MARGIN - 20), "style", INK, font)
    pen.text((MARGIN + 40, 8), f"{curve}: {world} LoRAs, {len(measured(world))} tuning pairs", INK, font)
    pen.line([at(s) for s in front(list(found.values()))], FRONT, 3)
    for name, colour in (("sum", GREY), (curve, CURVE)):
        line = [(Point(name, v), found[Point(name, v).key]) for v in CURVES[name]]
        if name != "gamma":
            pen.line([at(s) for _, s in line], colour, 2)
        for point, spot in line:
            x, y = at(spot)
            pen.ellipse([(x - 3, y - 3), (x + 3, y + 3)], fill=colour)
            pen.text((x + 5, y - 6), point.value, colour if name == "sum" else INK, font)
    pen.text((MARGIN + 6, MARGIN + SIDE - 34), "orange: front of all points of all controls", FRONT, font)
    pen.text((MARGIN + 6, MARGIN + SIDE - 18), "grey: plain sum at that strength", (120, 120, 120), font)
    return image


def main() -> None:
    """Write a figure for every control."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for curve in CURVES:
        if curve == "sum":
            continue
        panels = [panel(world, curve) for world in WORLDS]
        image = Image.new("RGB", (sum(p.width for p in panels), panels[0].height))
        for i, part in enumerate(panels):
            image.paste(part, (i * part.width, 0))
        image.save(FOLDER / f"quality-{curve}.png", optimize=True)


if __name__ == "__main__":
    main()
