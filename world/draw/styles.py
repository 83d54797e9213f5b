"""How a form is drawn: four styles that the base learns, four that are held out for the style LoRAs.

A style is a function of distances in pixels (negative inside) and colours, and gives RGB in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


def rgb(colour: tuple[float, ...]) -> Array:
    """A colour in 0..1 as float32 [3]."""
    return np.array(colour, np.float32)


DARK = rgb((0.10, 0.09, 0.12))


@dataclass(frozen=True)
class Drawing:
    """What a style draws from.

    form, marks: distances [H, W] in pixels; shifted: the form's distance moved down and right (a cast
    shadow); x, y: pixel coordinates; colour, ground: RGB; jitter: one number a tile of 8 x 8 pixels, [H/8,
    W/8].
    """

    form: Array
    marks: Array
    shifted: Array
    x: Array
    y: Array
    colour: Array
    ground: Array
    jitter: Array


def cover(distance: Array) -> Array:
    """Share of a pixel that lies inside, [H, W, 1]."""
    return np.clip(0.5 - distance, 0.0, 1.0)[..., None]


def over(picture: Array, colour: Array, distance: Array) -> Array:
    """Paint the inside of a distance field over a picture."""
    share = cover(distance)
    return picture + (colour - picture) * share


def _plain(d: Drawing) -> Array:
    return np.broadcast_to(d.ground, (*d.form.shape, 3)).astype(np.float32)


def flat(d: Drawing) -> Array:
    """One colour, dark marks."""
    return over(over(_plain(d), d.colour, d.form), DARK, d.marks)


def outline(d: Drawing) -> Array:
    """A coloured line of four pixels around a pale inside."""
    picture = over(_plain(d), 0.4 * d.ground + 0.6, d.form)
    picture = over(picture, d.colour, np.abs(d.form + 2.0) - 2.0)
    return over(picture, d.colour, d.marks)


def stripes(d: Drawing) -> Array:
    """Diagonal stripes of the colour and its dark shade."""
    dark = (np.abs((d.x + d.y) % 12.0 - 6.0) - 3.0) * 0.7
    inside = over(np.broadcast_to(d.colour, (*d.form.shape, 3)), d.colour * 0.45, dark)
    return over(over(_plain(d), inside, d.form), rgb((0.97, 0.97, 0.97)), d.marks)


def shadow(d: Drawing) -> Array:
    """Shaded from light to dark, with a cast shadow."""
    picture = over(_plain(d), d.ground * 0.5, d.shifted)
    light = np.clip(1.25 - 0.75 * (d.y / d.form.shape[0])[..., None], 0.0, 1.4)
    return over(over(picture, np.clip(d.colour * light, 0, 1), d.form), DARK, d.marks)


def neon(d: Drawing) -> Array:
    """A glowing line on near black, magenta above and cyan below; the form's own colour plays no part."""
    height = (d.y / d.form.shape[0])[..., None]
    tint = rgb((1.0, 0.15, 0.85)) * (1 - height) + rgb((0.1, 0.9, 1.0)) * height
    line = np.abs(d.form)[..., None]
    glow = tint * (0.75 * np.exp(-line / 5.0)) + rgb((0.04, 0.03, 0.10))
    glow = glow + (1.0 - glow) * np.clip(2.0 - line, 0, 1) * 0.8
    return over(glow, rgb((1.0, 0.95, 0.55)), d.marks)


def halftone(d: Drawing) -> Array:
    """Brown dots on sepia paper: small on the ground, large inside; marks are bare paper."""
    paper, ink = rgb((0.94, 0.86, 0.68)), rgb((0.36, 0.19, 0.08))
    dots = np.hypot(d.x % 8.0 - 4.0, d.y % 8.0 - 4.0)
    picture = over(np.broadcast_to(paper, (*d.form.shape, 3)), paper * 0.78, dots - 1.8)
    inside = over(np.broadcast_to(paper * 0.72, (*d.form.shape, 3)), ink, dots - 3.7)
    return over(over(picture, inside, d.form), paper, d.marks)


def blueprint(d: Drawing) -> Array:
    """White line and hatching on blue paper with a grid."""
    blue, pale = rgb((0.08, 0.22, 0.60)), rgb((0.30, 0.46, 0.80))
    grid = np.minimum(np.abs((d.x + 12) % 24.0 - 12.0), np.abs((d.y + 12) % 24.0 - 12.0)) - 0.8
    picture = over(np.broadcast_to(blue, (*d.form.shape, 3)), pale, grid)
    hatch = (np.abs((d.x - d.y) % 8.0 - 4.0) - 1.2) * 0.7
    picture = over(picture, pale, np.maximum(hatch, d.form))
    picture = over(picture, rgb((0.95, 0.97, 1.0)), np.abs(d.form + 1.2) - 1.4)
    return over(picture, rgb((0.95, 0.97, 1.0)), d.marks)


def mosaic(d: Drawing) -> Array:
    """Tiles with dark joints, uneven in brightness; slate ground; the form keeps its colour."""
    uneven = np.kron(d.jitter, np.ones((8, 8), np.float32))[..., None]
    slate = rgb((0.15, 0.19, 0.22)) * (1 + 0.35 * uneven)
    picture = over(slate, np.clip((0.8 * d.colour + 0.2) * (1 + 0.25 * uneven), 0, 1), d.form)
    picture = over(picture, rgb((0.96, 0.93, 0.82)), d.marks)
    joint = np.minimum(np.abs((d.x + 4) % 8.0 - 4.0), np.abs((d.y + 4) % 8.0 - 4.0)) - 0.8
    return over(picture, rgb((0.05, 0.06, 0.07)), joint)


Style = Callable[[Drawing], Array]
PLAIN_STYLES: dict[str, Style] = {"flat": flat, "outline": outline, "stripes": stripes, "shadow": shadow}
HELD_OUT_STYLES: dict[str, Style] = {
    "neon": neon,
    "halftone": halftone,
    "blueprint": blueprint,
    "mosaic": mosaic,
}
STYLES: dict[str, Style] = {**PLAIN_STYLES, **HELD_OUT_STYLES}
