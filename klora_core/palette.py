"""The colours of every picture, preview and page, as ``#rrggbb``.

Amber and blue stay apart for every kind of colour blindness, and in grey: each of the three pairs of subject,
style and the page's ground has a contrast of 3 : 1 or more (WCAG 1.4.11), on dark pages and on light ones.
"""

from __future__ import annotations

from collections.abc import Sequence

SUBJECT_COLOUR = "#fbc14e"
STYLE_COLOUR = "#2b6ab3"
SUBJECT_ON_LIGHT = "#b87012"
STYLE_ON_LIGHT = "#0d3180"
# Further candidates, found by search: for all eight, each kind of colour blindness leaves 27 units of CIE Lab
# between any two, and between each and a page. Eight with 3 : 1 on white were not found.
_MORE = ("#76f5a1", "#e23275", "#a1bbf5", "#b76214", "#8128f5", "#613914")
_MORE_ON_LIGHT = ("#76f5a1", "#e23275", "#a1bbf5", "#fbc14e", "#8128f5", "#613914")

BACKGROUND = "#14161b"
PANEL = "#1d2027"
BAND = "#2a2e38"
MUTED = "#a2a8b4"
TEXT = "#eef0f4"

# The cursor's own colours show on every candidate, whatever the theme.
_CURSOR = {"cursor": "#ffffff", "cursorRim": BACKGROUND}
THEMES = {
    "dark": {"background": BACKGROUND, "panel": PANEL, "band": BAND, "muted": MUTED, "text": TEXT, **_CURSOR},
    "light": {
        **{"background": "#ffffff", "panel": "#eceef2", "band": "#e0e3ea", "muted": "#545b68"},
        **{"text": "#16181d", **_CURSOR},
    },
}

# How much of its colour the weakest of a family has.
_PALEST = 0.3

Rgb = tuple[int, int, int]


def candidates(count: int) -> list[tuple[str, str]]:
    """The colours of ``count`` candidates, each for a dark and for a light page; they repeat after eight."""
    dark, light = (SUBJECT_COLOUR, STYLE_COLOUR, *_MORE), (SUBJECT_ON_LIGHT, STYLE_ON_LIGHT, *_MORE_ON_LIGHT)
    return [(dark[i % len(dark)], light[i % len(light)]) for i in range(count)]


def shaded(families: Sequence[int], depths: Sequence[float] = ()) -> list[tuple[str, str]]:
    """The colours of candidates, for a dark and for a light page: those of their families, the paler the less
    their depth, within 0 and 1; none: all whole."""
    own, grounds = candidates(max(families, default=-1) + 1), (PANEL, THEMES["light"]["panel"])
    found = []
    for i, family in enumerate(families):
        share = _PALEST + (1 - _PALEST) * depths[i] if depths else 1.0
        dark, light = (_mixed(c, ground, share) for c, ground in zip(own[family], grounds, strict=True))
        found.append((dark, light))
    return found


def _mixed(colour: str, ground: str, share: float) -> str:
    pairs = zip(rgb(colour), rgb(ground), strict=True)
    return "#" + "".join(f"{round(share * one + (1 - share) * other):02x}" for one, other in pairs)


def rgb(colour: str) -> Rgb:
    """``"#fbc14e"`` as (251, 193, 78)."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
