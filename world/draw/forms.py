"""What can be drawn: signed distance functions of the base's shapes and of the held-out subjects, with their
marks.

A form lives in its own unit square: x to the right, y down, extent about 1 to each side. Distances are
negative inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Array = np.ndarray
Distance = Callable[[Array, Array], Array]
Disc = tuple[float, float, float]


def disc(x: Array, y: Array, centre_x: float, centre_y: float, radius: float) -> Array:
    """Distance to a disc."""
    return np.hypot(x - centre_x, y - centre_y) - radius


def capsule(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float], radius: float) -> Array:
    """Distance to a thick line from a to b with round ends."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
    return np.hypot(x - a[0] - along * dx, y - a[1] - along * dy) - radius


def polygon(x: Array, y: Array, corners: tuple[tuple[float, float], ...]) -> Array:
    """Exact distance to a simple polygon; the sign comes from counting the edges that a ray crosses."""
    nearest = np.full(x.shape, np.inf, dtype=np.float32)
    inside = np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        nearest = np.minimum(nearest, capsule(x, y, (ax, ay), (bx, by), 0.0))
        if ay != by:
            crosses = ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
            inside ^= crosses
    return np.where(inside, -nearest, nearest)


@lru_cache(maxsize=16)
def _star_corners(points: int, outer: float, inner: float) -> tuple[tuple[float, float], ...]:
    turns = [np.pi * i / points for i in range(2 * points)]
    radii = [outer if i % 2 == 0 else inner for i in range(2 * points)]
    return tuple((float(r * np.sin(t)), float(-r * np.cos(t))) for r, t in zip(radii, turns, strict=True))


@lru_cache(maxsize=16)
def _ellipse_corners(
    cx: float, cy: float, rx: float, ry: float, start: float, end: float, count: int
) -> tuple[tuple[float, float], ...]:
    turns = np.linspace(start, end, count)
    return tuple((float(cx + rx * np.cos(t)), float(cy + ry * np.sin(t))) for t in turns)


@lru_cache(maxsize=1)
def _heart_corners() -> tuple[tuple[float, float], ...]:
    t = np.linspace(0, 2 * np.pi, 29)[:-1]
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return tuple((float(a / 18), float((b - 2) / 18)) for a, b in zip(x, y, strict=True))


def _cross(x: Array, y: Array) -> Array:
    bars = [
        np.maximum(np.abs(x) - 0.85, np.abs(y) - 0.3),
        np.maximum(np.abs(y) - 0.85, np.abs(x) - 0.3),
    ]
    return np.minimum(*bars)


def _bunny(x: Array, y: Array) -> Array:
    ears = [capsule(x, y, (s * 0.24, -0.2), (s * 0.36, -0.8), 0.19) for s in (-1, 1)]
    return np.minimum(np.minimum(*ears), disc(x, y, 0, 0.33, 0.62))


def _rocket(x: Array, y: Array) -> Array:
    body = polygon(
        x,
        y,
        ((0, -1.05), (0.22, -0.75), (0.33, -0.35), (0.33, 0.6), (-0.33, 0.6), (-0.33, -0.35), (-0.22, -0.75)),
    )
    fins = polygon(
        x,
        y,
        (
            (0.3, 0.1),
            (0.75, 0.65),
            (0.75, 0.98),
            (0.3, 0.6),
            (-0.3, 0.6),
            (-0.75, 0.98),
            (-0.75, 0.65),
            (-0.3, 0.1),
        ),
    )
    return np.minimum(body, fins)


def _fish(x: Array, y: Array) -> Array:
    body = polygon(x, y, _ellipse_corners(-0.22, 0.0, 0.75, 0.5, 0.0, 2 * np.pi * 19 / 20, 20))
    tail = polygon(x, y, ((0.3, 0.0), (1.0, -0.55), (0.82, 0.0), (1.0, 0.55)))
    fin = polygon(x, y, ((-0.35, -0.4), (0.1, -0.8), (0.2, -0.35)))
    return np.minimum(np.minimum(body, tail), fin)


def _mushroom(x: Array, y: Array) -> Array:
    cap = polygon(x, y, _ellipse_corners(0.0, 0.05, 0.95, 0.9, np.pi, 2 * np.pi, 14))
    stem = np.maximum(np.abs(x) - 0.26, np.abs(y - 0.45) - 0.45)
    return np.minimum(cap, stem)


def _moon(x: Array, y: Array) -> Array:
    return np.maximum(disc(x, y, 0.1, 0, 0.9), -disc(x, y, 0.5, -0.15, 0.7))


@dataclass(frozen=True)
class Form:
    """One drawable thing: its distance function, its marks as discs, and its own colour if it has one."""

    distance: Distance
    marks: tuple[Disc, ...] = ()
    colour: tuple[float, float, float] | None = None


EYES: tuple[Disc, ...] = ((-0.25, -0.02, 0.13), (0.25, -0.02, 0.13))

SHAPES: dict[str, Form] = {
    "circle": Form(lambda x, y: disc(x, y, 0, 0, 0.85), EYES),
    "square": Form(lambda x, y: np.maximum(np.abs(x), np.abs(y)) - 0.75, EYES),
    "triangle": Form(lambda x, y: polygon(x, y, ((0, -0.95), (0.95, 0.75), (-0.95, 0.75)))),
    "star": Form(lambda x, y: polygon(x, y, _star_corners(5, 1.0, 0.45))),
    "cross": Form(_cross),
    "ring": Form(lambda x, y: np.abs(np.hypot(x, y) - 0.65) - 0.22),
    "heart": Form(lambda x, y: polygon(x, y, _heart_corners()), EYES),
    "moon": Form(_moon),
}

SUBJECTS: dict[str, Form] = {
    "bunny": Form(_bunny, ((-0.24, 0.2, 0.13), (0.24, 0.2, 0.13), (0.0, 0.52, 0.09)), (0.95, 0.50, 0.68)),
    "rocket": Form(_rocket, ((0.0, -0.25, 0.19),), (0.45, 0.50, 0.15)),
    "fish": Form(_fish, ((-0.55, -0.1, 0.14),), (0.08, 0.60, 0.60)),
    "mushroom": Form(
        _mushroom, ((-0.5, -0.22, 0.15), (0.05, -0.5, 0.17), (0.48, -0.15, 0.13)), (0.50, 0.24, 0.12)
    ),
}

FORMS: dict[str, Form] = {**SHAPES, **SUBJECTS}
