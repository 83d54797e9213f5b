"""The styles: the artist's own two hands, and six exact ones computed from the flat drawing's edges.

A style is a function of the flat drawing and the ink drawing of one view, each [96, 96, 4] in 0..1, to a
picture [96, 96, 3]. Patterns repeat every 8 pixels: finer ones are lost in the latents.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Style = Callable[[Array, Array], Array]

PERIOD = 8
_SIDE = 96
_Y, _X = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) + 0.5
_CREAM, _NIGHT, _NAVY = (0.98, 0.95, 0.87), (0.03, 0.02, 0.07), (0.09, 0.23, 0.55)


def _rgb(*colour: float) -> Array:
    return np.array(colour, np.float32)


def over(drawing: Array, ground: Array) -> Array:
    """The drawing on a plain ground."""
    alpha = drawing[..., 3:]
    return drawing[..., :3] * alpha + ground * (1 - alpha)


def _blur(picture: Array, times: int) -> Array:
    for _ in range(times):
        for axis in (0, 1):
            picture = (np.roll(picture, 1, axis) + 2 * picture + np.roll(picture, -1, axis)) / 4
    return picture


def edges(drawing: Array) -> Array:
    """How much of an edge of colour or silhouette each pixel is, [96, 96] in 0..1; lines of 2 pixels."""
    seen = _blur(np.concatenate([over(drawing, _rgb(1, 1, 1)), drawing[..., 3:]], -1), 1)
    steps = [np.abs(np.roll(seen, -1, axis) - np.roll(seen, 1, axis)).max(-1) for axis in (0, 1)]
    return np.clip((np.hypot(*steps) - 0.08) * 4, 0, 1)


def _mixed(a: Array, b: Array, share: Array) -> Array:
    return a * (1 - share[..., None]) + b * share[..., None]


def _light(drawing: Array) -> Array:
    return over(drawing, _rgb(1, 1, 1)) @ _rgb(0.3, 0.59, 0.11)


def _soft_step(x: Array, width: float = 1.0) -> Array:
    return np.clip(x / width + 0.5, 0, 1)


def _line(position: Array, thickness: float) -> Array:
    """Lines every PERIOD pixels along ``position``."""
    return _soft_step(thickness / 2 - np.abs((position % PERIOD) - PERIOD / 2))


def flat(drawing: Array, ink: Array) -> Array:
    """The artist's flat drawing on paper."""
    return over(drawing, _rgb(0.96, 0.96, 0.96))


def inked(drawing: Array, ink: Array) -> Array:
    """The artist's own ink drawing, black on white."""
    return over(ink, _rgb(1, 1, 1))


def crosshatch(drawing: Array, ink: Array) -> Array:
    """A pencil's outline and one to three directions of strokes, by darkness."""
    dark = (1 - _light(drawing)) * drawing[..., 3]
    root = np.float32(2**0.5)
    strokes = np.zeros_like(dark)
    for level, position in ((0.08, (_X + _Y) / root), (0.42, (_X - _Y) / root), (0.68, _X)):
        strokes = np.maximum(strokes, _line(position, 2.4) * _soft_step(dark - level, 0.1))
    drawn = np.maximum(0.8 * strokes, edges(drawing))
    return _mixed(_rgb(*_CREAM), _rgb(0.25, 0.22, 0.3), drawn)


def stitched(drawing: Array, ink: Array) -> Array:
    """Cross-stitch on linen: an X of thread in each cell, darker cloth between."""
    across = np.maximum(_line(_X + _Y, 4.0), _line(_X - _Y, 4.0))
    linen = _rgb(0.86, 0.80, 0.68) * (0.93 + 0.07 * across)[..., None]
    thread = _blur(drawing[..., :3] * drawing[..., 3:], 2) / np.maximum(_blur(drawing[..., 3:], 2), 0.05)
    thread = np.clip(thread, 0, 1) * (0.6 + 0.4 * across)[..., None]
    return _mixed(linen, thread, _soft_step(_blur(drawing[..., 3:], 1)[..., 0] - 0.5, 0.5))


def neon(drawing: Array, ink: Array) -> Array:
    """Tubes along every edge, in the drawing's colours at full brightness, glowing on near-black."""
    colour = _blur(drawing[..., :3] * drawing[..., 3:], 3) / np.maximum(_blur(drawing[..., 3:], 3), 0.05)
    colour = colour - 0.7 * colour.min(-1, keepdims=True)
    colour = colour / np.maximum(colour.max(-1, keepdims=True), 0.05)
    tubes = edges(drawing)
    glow = _blur(tubes, 9)
    lit = colour * (1.7 * glow + 0.9 * tubes)[..., None] + 0.35 * (tubes**2)[..., None]
    return _rgb(*_NIGHT) + lit


def blueprint(drawing: Array, ink: Array) -> Array:
    """White lines on blue squared paper."""
    squares = np.maximum(_line(_X, 1.2), _line(_Y, 1.2))
    paper = _mixed(_rgb(*_NAVY), _rgb(0.35, 0.5, 0.8), 0.55 * squares)
    inside = _mixed(paper, _rgb(0.2, 0.38, 0.72), 0.5 * drawing[..., 3])
    return _mixed(inside, _rgb(0.95, 0.97, 1), edges(drawing))


def mosaic(drawing: Array, ink: Array) -> Array:
    """Glass tiles with dark grout, in rows that are offset by half; a tile's shade is its own."""
    row = np.floor(_Y / PERIOD)
    x = _X + PERIOD / 2 * (row % 2)
    column = np.floor(x / PERIOD)
    shade = np.sin(row * 12.9898 + column * 78.233) * 43758.5453
    shade = 0.82 + 0.36 * (shade - np.floor(shade))
    grout = np.maximum(_line(x + PERIOD / 2, 1.6), _line(_Y + PERIOD / 2, 1.6))
    glass = np.round(over(drawing, _rgb(0.8, 0.76, 0.64)) * 5) / 5 * shade[..., None]
    return _mixed(glass, _rgb(0.22, 0.2, 0.2), 0.85 * grout)


def halftone(drawing: Array, ink: Array) -> Array:
    """A print in one brown: dots that grow with darkness, on sepia."""
    root = np.float32(2**0.5)
    u, v = (_X + _Y) / root, (_X - _Y) / root
    screen = (np.cos(2 * np.pi * u / PERIOD) + np.cos(2 * np.pi * v / PERIOD)) / 4 + 0.5
    dark = (0.36 + 0.64 * (1 - _light(drawing))) * drawing[..., 3]
    dots = _soft_step(np.clip(1.05 * dark, 0, 1) - screen, 0.25) * _soft_step(dark - 0.04, 0.06)
    return _mixed(_rgb(0.95, 0.87, 0.70), _rgb(0.36, 0.2, 0.1), dots)


BASE_STYLES: dict[str, Style] = {"flat": flat, "crosshatch": crosshatch, "stitched": stitched}
HELD_OUT_STYLES: dict[str, tuple[Style, str]] = {
    "ink": (inked, "vomek"),
    "neon": (neon, "sarn"),
    "blueprint": (blueprint, "yipo"),
    "mosaic": (mosaic, "kelz"),
    "halftone": (halftone, "drun"),
}
"""Never seen by the base; each with its trigger word."""
STYLES: dict[str, Style] = BASE_STYLES | {name: style for name, (style, _) in HELD_OUT_STYLES.items()}
