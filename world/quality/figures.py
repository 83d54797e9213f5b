"""One figure a control: subject against style, its curve, the plain sum's curve, and the Pareto front of all
points.
"""

from __future__ import annotations

import json

import numpy as np

from ..places import REPO
from .cells import WORLDS
from .plot import CURVE, FRONT, GREY, INK, MARGIN, SIDE, SINGLE, Plot, save
from .stats import Scores, style, subject
from .sweeps import CURVES, RESULTS, Point, points, sweep_cells

FOLDER = REPO / "bench" / "figures"

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


def panel(world: str, curve: str) -> Plot:
    """One world's plot."""
    plot = Plot(f"{curve}: {world} LoRAs, {len(measured(world))} tuning pairs", "style", "subject")
    found = spots(world)

    def at(spot: Spot) -> Spot:
        return MARGIN + spot[0] * SIDE, plot.y(spot[1])

    for i in range(6):
        plot.tick(at((i / 5, 0))[0], f"{i / 5:.1f}", line=0 < i < 5)
    plot.pen.line([at(s) for s in front(list(found.values()))], FRONT, 3)
    for name, colour in (("sum", GREY), (curve, CURVE)):
        line = [(Point(name, v), found[Point(name, v).key]) for v in CURVES[name]]
        if name != "gamma":
            plot.pen.line([at(s) for _, s in line], colour, 2)
        for point, spot in line:
            x, y = at(spot)
            plot.pen.ellipse([(x - 3, y - 3), (x + 3, y + 3)], fill=colour)
            plot.text((x + 5, y - 6), point.value, colour if name == "sum" else INK)
    plot.legend(
        [
            ("orange: front of all points of all controls", FRONT),
            ("grey: plain sum at that strength", SINGLE),
        ]
    )
    return plot


def main() -> None:
    """Write a figure for every control."""
    for curve in CURVES:
        if curve != "sum":
            save(FOLDER / f"quality-{curve}.png", [panel(world, curve) for world in WORLDS])


if __name__ == "__main__":
    main()
