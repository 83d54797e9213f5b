"""One artist's drawings: Microsoft's Fluent emoji (MIT), from npm, drawn by resvg. None is committed."""

from __future__ import annotations

import json
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ..places import REPO
from .concepts import concepts

SIDE = 96
FLAT, INK = "fluent-emoji-flat", "fluent-emoji-high-contrast"
_PACKAGES = REPO / "node_modules" / "@iconify-json"


class NoDrawingsError(RuntimeError):
    """The drawings are not installed: `npm ci` brings them."""


@cache
def _icons(name: str) -> dict[str, dict]:
    path = _PACKAGES / name / "icons.json"
    if not path.exists():
        raise NoDrawingsError(f"no drawings in {path.parent.relative_to(REPO)}: run `npm ci` there")
    return json.loads(path.read_text())["icons"]


@cache
def names() -> tuple[str, ...]:
    """All concepts of the base, in order."""
    categories = json.loads((_PACKAGES / FLAT / "metadata.json").read_text())["categories"]
    return tuple(concepts(categories, frozenset(_icons(FLAT)) & frozenset(_icons(INK))))


def draw(
    name: str, hand: str = FLAT, x: float = 0, y: float = 0, size: float = 1, turn: float = 0
) -> np.ndarray:
    """The drawing of ``name``, [96, 96, 4] in 0..1: straight colour and alpha.

    x, y: pixels off the middle; size: 1 fills the picture but for the artist's own margin; turn: degrees.
    """
    import resvg_py  # what only scores or samples, such as a ComfyUI, does without it

    body = _icons(hand)[name]["body"].replace("currentColor", "#000")
    k = SIDE / 32 * size
    move = f"translate({SIDE / 2 + x} {SIDE / 2 + y}) rotate({turn}) scale({k}) translate(-16 -16)"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE}" height="{SIDE}" viewBox="0 0 {SIDE} {SIDE}">'
        f'<g transform="{move}" fill="none">{body}</g></svg>'
    )
    picture = Image.open(BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    return np.asarray(picture, np.float32) / 255


def folder() -> Path:
    """Where npm puts the drawings."""
    return _PACKAGES
