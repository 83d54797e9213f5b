"""The picture of all pairs shows the numbers of each, whatever their count."""

from __future__ import annotations

import numpy as np
import pytest

from klora_core import palette
from klora_core.errors import KLoraError
from klora_core.methods.klora import Handover, OneChange
from klora_core.methods.survey import FileInfo, Pair, Settings, Survey, Way
from klora_core.picture import draw_pairs
from klora_core.picture.matrix import blend
from klora_core.progress import in_steps


def way(subject, style, half, gamma=1.0):
    turn = Handover(1, half, None, 0.9, OneChange(0.8, 5, "subject"))
    return Way(subject, style, gamma, (0.5, 0.8, 1.0, 1.2, 2.0), 0.6, turn, 0.1)


def survey(count, half=None, missing=(), **numbers):
    """``count`` files, of each pair the halves of ``half(subject, style)``."""
    half = half or (lambda subject, style: 1 + (subject * 7 + style * 3) % 30)
    pairs = [
        Pair(
            i,
            j,
            12,
            numbers.get("spread", 2.0),
            numbers.get("overlap", 0.01),
            (way(i, j, half(i, j)), way(j, i, half(j, i))),
        )
        for i in range(count)
        for j in range(i + 1, count)
        if (i, j) not in missing
    ]
    files = tuple(FileInfo(f"a LoRA of number {i}.safetensors", None, 12, (4, 4)) for i in range(count))
    return Survey(files, tuple(pairs), (), (), (), in_steps(30), Settings())


def colours(image):
    return {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in image.getcolors(1 << 24)}


@pytest.mark.parametrize("count", [2, 3, 20, 60])
def test_any_number_of_files(count):
    image = draw_pairs(survey(count))
    assert image.mode == "RGB" and 400 <= image.width <= 2400 and 300 <= image.height <= 2400
    pixels = np.asarray(image)
    border = np.concatenate([pixels[:4].reshape(-1, 3), pixels[-4:].reshape(-1, 3)])
    border = np.concatenate([border, pixels[:, :4].reshape(-1, 3), pixels[:, -4:].reshape(-1, 3)])
    assert (border == palette.rgb(palette.BACKGROUND)).all()


def test_early_is_the_style_s_colour_and_never_the_subject_s():
    image = draw_pairs(survey(2, lambda subject, style: 1 if subject else None))
    found = colours(image)
    assert palette.STYLE_COLOUR in found and palette.SUBJECT_COLOUR in found
    middle = colours(draw_pairs(survey(2, lambda subject, style: 16)))
    assert blend(palette.SUBJECT_COLOUR, palette.STYLE_COLOUR, 0.5) in middle
    assert palette.SUBJECT_COLOUR not in middle


def test_a_pair_that_is_apart_is_an_empty_cell():
    whole, holed = (np.asarray(draw_pairs(survey(3, missing=gone))) for gone in ((), {(0, 2)}))
    empty = [(image == palette.rgb(palette.PANEL)).all(axis=2).sum() for image in (whole, holed)]
    assert empty[1] > empty[0] + 2 * 4 * 20 * 20


def test_numbers_that_are_none():
    draw_pairs(survey(3, spread=float("nan"), overlap=None))
    draw_pairs(survey(3, spread=float("inf")))


def test_no_pair_is_no_picture():
    with pytest.raises(KLoraError, match="^Leave out --plot, .*: there is no pair to draw"):
        draw_pairs(survey(1))
