"""The colours of every picture and preview, as ``#rrggbb``.

Amber and blue stay apart for every kind of colour blindness, and in grey: each of the three pairs of
SUBJECT, STYLE and BACKGROUND has a contrast of 3 : 1 or more (WCAG 1.4.11).
"""

from __future__ import annotations

SUBJECT = "#fbc14e"
STYLE = "#2b6ab3"

BACKGROUND = "#14161b"
PANEL = "#1d2027"
BAND = "#2a2e38"
GRID = "#3a3f4b"
MUTED = "#a2a8b4"
TEXT = "#eef0f4"

Rgb = tuple[int, int, int]


def rgb(colour: str) -> Rgb:
    """``"#fbc14e"`` as (251, 193, 78)."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours, 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
