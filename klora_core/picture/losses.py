"""The loss of a training, step by step, as a small picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .. import palette

WIDTH, HEIGHT, _MARGIN = 384, 192, 8
# Single steps jump with their noises: the line is the mean of so many parts of the training at most.
_PARTS = 64


def draw_losses(losses: Sequence[float], steps: int) -> Image.Image:
    """Each step as a dot, their means over parts of the training as a line; it will be ``steps`` long."""
    image = Image.new("RGB", (WIDTH, HEIGHT), palette.BACKGROUND)
    canvas = ImageDraw.Draw(image)
    inner = (_MARGIN, _MARGIN, WIDTH - _MARGIN - 1, HEIGHT - _MARGIN - 1)
    canvas.rectangle(inner, fill=palette.PANEL)
    values = np.asarray(losses, dtype=np.float64)
    if not len(values):
        return image
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    left, top, right, bottom = inner

    def at(step: float, value: float) -> tuple[float, float]:
        x = left + (right - left) * step / max(1, steps - 1)
        return x, bottom - (bottom - top) * (value - low) / span

    for step in np.linspace(0, len(values) - 1, min(len(values), WIDTH)).astype(int).tolist():
        canvas.point(at(step, float(values[step])), fill=palette.MUTED)
    parts = np.array_split(np.arange(len(values)), min(len(values), _PARTS))
    line = [at(float(part.mean()), float(values[part].mean())) for part in parts]
    canvas.line(line if len(line) > 1 else line * 2, fill=palette.SUBJECT_COLOUR, width=2)
    return image
