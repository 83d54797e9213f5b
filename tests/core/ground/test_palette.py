"""The colours of candidates can be told apart, by colour-blind people too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from klora_core import palette


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours, 1 to 21."""

    def luminance(colour: str) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in np.divide(palette.rgb(colour), 255)
        ]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["dark", "light"])
def test_colours_are_far_apart(theme: int) -> None:
    page = palette.THEMES[("dark", "light")[theme]]
    subject, style = (colours[theme] for colours in palette.candidates(2))
    assert contrast(subject, style) >= 3
    # On a dark page blue lies on the ground alone, which is the darkest there.
    for ground in ("background", "panel", "band") if theme else ("background",):
        assert min(contrast(colour, page[ground]) for colour in (subject, style)) >= 3
    assert contrast(page["muted"], page["background"]) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB.
SIGHTS = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colour: str, sight: str) -> np.ndarray:
    """CIE Lab of a colour as it is seen, D65."""
    value = np.divide(palette.rgb(colour), 255)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(SIGHTS[sight]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ seen / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), 24389 / 27 * xyz / 116 + 16 / 116)
    return np.array((116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", [0, 1], ids=["dark", "light"])
def test_colour_blind_people_can_tell_the_candidates(sight: str, theme: int) -> None:
    """Twelve times the difference that is just seen, between any two of eight, and from the page's ground."""
    colours = {both[theme] for both in palette.candidates(8)}
    assert len(colours) == 8
    # A picture in the dark colours is also seen on a light page.
    light = palette.THEMES["light"]["background"]
    grounds = {light} if theme else {palette.THEMES["dark"]["panel"], light}
    for one, other in itertools.combinations(colours | grounds, 2):
        if {one, other} - grounds:
            assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 12 * 2.3, (one, other)
