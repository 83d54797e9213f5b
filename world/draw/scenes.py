"""Scenes and their pictures: which form, where, in which colours and style; drawn at 96 x 96."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .forms import FORMS, SHAPES, SUBJECTS, Form, capsule, polygon
from .styles import PLAIN_STYLES, STYLES, Drawing, rgb

Array = np.ndarray
SIDE = 96

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.14, 0.14),
    "orange": (0.95, 0.55, 0.10),
    "yellow": (0.95, 0.85, 0.15),
    "green": (0.15, 0.60, 0.25),
    "blue": (0.15, 0.30, 0.80),
    "purple": (0.50, 0.20, 0.65),
}
GROUNDS: dict[str, tuple[float, float, float]] = {
    "paper": (0.95, 0.95, 0.95),
    "sand": (0.87, 0.77, 0.58),
    "sky": (0.60, 0.79, 0.93),
    "mint": (0.68, 0.90, 0.75),
    "lilac": (0.82, 0.73, 0.93),
    "grey": (0.60, 0.60, 0.62),
}


@dataclass(frozen=True)
class Scene:
    """One picture in words and numbers. x, y: centre in pixels off the middle; size: pixels a unit; turn:
    radians.
    """

    form: str
    colour: str | None
    ground: str
    style: str
    eyes: bool
    x: float
    y: float
    size: float
    turn: float
    seed: int


def random_scene(
    rng: np.random.Generator,
    forms: tuple[str, ...] = tuple(SHAPES),
    styles: tuple[str, ...] = tuple(PLAIN_STYLES),
) -> Scene:
    """A scene drawn at random; a held-out subject always has its own colour and its own marks."""
    form = str(rng.choice(forms))
    subject = form in SUBJECTS
    return Scene(
        form=form,
        colour=None if subject else str(rng.choice(list(COLOURS))),
        ground=str(rng.choice(list(GROUNDS))),
        style=str(rng.choice(styles)),
        eyes=subject or (bool(FORMS[form].marks) and rng.random() < 0.4),
        x=float(rng.uniform(-3, 3)),
        y=float(rng.uniform(-3, 3)),
        size=float(rng.uniform(33, 38)),
        turn=float(rng.normal(0, 0.06)),
        seed=int(rng.integers(1 << 31)),
    )


_Y, _X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + 0.5


def own_axes(scene: Scene, x: Array = _X, y: Array = _Y) -> tuple[Array, Array]:
    """Pixel positions in the form's own units."""
    x, y = x - SIDE / 2 - scene.x, y - SIDE / 2 - scene.y
    cos, sin = np.cos(scene.turn), np.sin(scene.turn)
    return (x * cos + y * sin) / scene.size, (y * cos - x * sin) / scene.size


def form_distance(scene: Scene, form: Form) -> Array:
    """Distance in pixels to the silhouette, [96, 96], negative inside."""
    return form.distance(*own_axes(scene)) * scene.size


def marks_distance(scene: Scene, form: Form) -> Array:
    """Distance in pixels to the nearest mark, [96, 96]; far away where the scene shows none."""
    x, y = own_axes(scene)
    found = np.full(x.shape, 1e3, np.float32)
    for cx, cy, radius in form.marks if scene.eyes else ():
        found = np.minimum(found, (np.hypot(x - cx, y - cy) - radius) * scene.size)
    return found


def draw(scene: Scene, form: Form | None = None) -> Array:
    """The picture of a scene, [96, 96, 3] in 0..1; `form` draws something that has no name."""
    form = form or FORMS[scene.form]
    distance = form_distance(scene, form)
    shifted = distance
    if scene.style == "shadow":
        shifted = form_distance(replace(scene, x=scene.x + 5, y=scene.y + 6), form)
    colour = form.colour if scene.colour is None else COLOURS[scene.colour]
    jitter = np.random.default_rng(scene.seed).uniform(-1, 1, (SIDE // 8, SIDE // 8)).astype(np.float32)
    drawing = Drawing(
        distance,
        marks_distance(scene, form),
        shifted,
        _X,
        _Y,
        rgb(colour or (0.0, 0.0, 0.0)),
        rgb(GROUNDS[scene.ground]),
        jitter,
    )
    return np.clip(STYLES[scene.style](drawing), 0.0, 1.0).astype(np.float32)


def random_blob(rng: np.random.Generator) -> Form:
    """A form with no name: a wavy blob with up to two limbs and up to four marks. Teaches eyes, not
    subjects.
    """
    turns = np.linspace(0, 2 * np.pi, 14)[:-1]
    radii = 0.6 + sum(
        rng.normal(0, 0.16 / k) * np.cos(k * turns + rng.uniform(0, 6.3)) for k in (1, 2, 3, 4, 5)
    )
    corners = tuple(
        (float(r * np.cos(t)), float(r * np.sin(t)))
        for r, t in zip(np.clip(radii, 0.2, 1), turns, strict=True)
    )
    limbs = []
    for _ in range(int(rng.integers(0, 4))):
        t, reach = rng.uniform(0, 6.3), rng.uniform(0.6, 0.95)
        limbs.append(
            ((0.0, 0.0), (float(reach * np.cos(t)), float(reach * np.sin(t))), float(rng.uniform(0.08, 0.28)))
        )
    marks = tuple(
        (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.09, 0.2)))
        for _ in range(int(rng.integers(0, 5)))
    )

    def distance(x: Array, y: Array) -> Array:
        found = polygon(x, y, corners)
        for a, b, radius in limbs:
            found = np.minimum(found, capsule(x, y, a, b, radius))
        return found

    red, green, blue = (float(c) for c in rng.uniform(0.05, 0.95, 3))
    return Form(distance, marks, (red, green, blue))


def random_blob_scene(
    rng: np.random.Generator, styles: tuple[str, ...] = tuple(STYLES)
) -> tuple[Scene, Form]:
    """A nameless form somewhere in any style."""
    scene = replace(random_scene(rng, styles=styles), form="blob", colour=None, eyes=True)
    return scene, random_blob(rng)
