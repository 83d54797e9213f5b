"""The loss of a training as a picture: as long as the training will be, falling where the loss falls."""

from __future__ import annotations

import numpy as np
import pytest

from klora_core import palette
from klora_core.picture import draw_losses


def line(losses, steps):
    """For each column the mean height of the line in it, from the top; NaN where there is none."""
    pixels = np.asarray(draw_losses(losses, steps)).astype(int)
    drawn = (pixels == palette.rgb(palette.SUBJECT_COLOUR)).all(axis=2)
    return np.array([np.flatnonzero(column).mean() if column.any() else np.nan for column in drawn.T])


def test_the_line_falls_as_the_loss_does():
    heights = line([1 / (1 + step) for step in range(50)], 50)
    heights = heights[~np.isnan(heights)]
    assert heights[0] < 30 and heights[-1] > 150
    assert (np.diff(heights) > -1).all()


def test_half_a_training_fills_half_the_picture():
    heights = line([1.0, 0.5] * 25, 100)
    there = np.flatnonzero(~np.isnan(heights))
    assert there.min() <= 12 and 0.44 < there.max() / len(heights) < 0.54


@pytest.mark.parametrize("losses, steps", [([], 5), ([0.3], 1), ([0.2, 0.2], 2), ([1.0] * 3000, 3000)])
def test_any_training_can_be_drawn(losses, steps):
    assert draw_losses(losses, steps).size == (384, 192)
