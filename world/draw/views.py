"""Views of concepts: a concept drawn at a place, a size and a turn of chance, in a style."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .drawings import FLAT, INK, draw
from .styles import STYLES


class View(NamedTuple):
    """x, y: pixels off the middle; size: 1 fills the picture but for the artist's margin; turn: degrees."""

    x: float
    y: float
    size: float
    turn: float


def random_view(rng: np.random.Generator) -> View:
    """One of the views that everything here is trained on."""
    x, y = rng.uniform(-3, 3, 2)
    return View(float(x), float(y), float(rng.uniform(0.84, 0.96)), float(rng.normal(0, 3)))


def picture(name: str, style: str, view: View) -> Tensor:
    """[3, 96, 96] in 0..1."""
    return pictures(name, (style,), view)[0]


def pictures(name: str, styles: tuple[str, ...], view: View) -> Tensor:
    """One view in several styles, [styles, 3, 96, 96] in 0..1."""
    flat, ink = (draw(name, hand, *view) for hand in (FLAT, INK))
    drawn = np.stack([np.clip(STYLES[style](flat, ink), 0, 1).astype(np.float32) for style in styles])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous()
