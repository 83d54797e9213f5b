"""Thumbnails' layouts: a shot to a square, the shot's settings written in."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from klora_core import palette

from .board import BADGE, GAP, LARGE, SIDE, SMALL, Board
from .on_world import BEFORE, FUSED, MAP
from .shots import Shot

_TWO = 2 * 96
_LARGE = 2 * _TWO + GAP
_WORLD = "toy model"


Layout = Callable[[Shot, str], Image.Image]
"""A shot and a title to a thumbnail."""


def large_right(shot: Shot, title: str) -> Image.Image:
    """Subject and style left, fused large at the right."""
    return _large(shot, title, GAP, 2 * GAP + _TWO)


def large_left(shot: Shot, title: str) -> Image.Image:
    """Fused large at the left, subject and style right."""
    return _large(shot, title, 2 * GAP + _LARGE, GAP)


def _large(shot: Shot, title: str, small: int, large: int) -> Image.Image:
    board, top = Board(), BADGE
    board.picture(shot.pictures[shot.cast.subject], (small, top), _TWO, "subject", "subject")
    board.picture(shot.pictures[shot.cast.styles[0]], (small, top + _TWO + GAP), _TWO, "style", "style")
    board.picture(shot.pictures[FUSED], (large, top), _LARGE, "K-LoRA")
    _words(board, shot, title, top + _LARGE + GAP)
    return board.image


def row_and_map(shot: Shot, title: str) -> Image.Image:
    """Subject, style and fused in a row, the selection map below."""
    board, top = Board(), BADGE
    for at, (name, tag) in enumerate(
        [(shot.cast.subject, "subject"), (shot.cast.styles[0], "style"), (FUSED, "K-LoRA")]
    ):
        board.picture(shot.pictures[name], (GAP + at * (_TWO + GAP), top), _TWO, tag, tag)
    lower = top + _TWO + GAP
    board.map(shot.pictures[MAP], (GAP, lower), (SIDE - 2 * GAP, _TWO))
    _words(board, shot, title, lower + _TWO + GAP)
    return board.image


def three_and_map(shot: Shot, title: str, made: str = "K-LoRA") -> Image.Image:
    """Subject and two styles in a row; what was made of them and the selection map below."""
    board, top = Board(), BADGE
    tags = zip((shot.cast.subject, *shot.cast.styles), ("subject", "style", "style"), strict=True)
    for at, (name, tag) in enumerate(tags):
        board.picture(shot.pictures[name], (GAP + at * (_TWO + GAP), top), _TWO, tag, tag)
    lower = top + _TWO + GAP
    board.picture(shot.pictures[FUSED], (GAP, lower), _TWO, made)
    board.map(shot.pictures[MAP], (2 * GAP + _TWO, lower), (2 * _TWO + GAP, _TWO))
    _words(board, shot, title, lower + _TWO + GAP)
    return board.image


def before_after(shot: Shot, title: str) -> Image.Image:
    """The picture that a run starts from, and what becomes of it; the LoRAs' own small between them."""
    board, top, side = Board(), BADGE, 296
    board.picture(shot.pictures[BEFORE], (GAP, top), side, "before")
    board.picture(shot.pictures[FUSED], (2 * GAP + side, top), side, "after")
    lower = top + side + GAP
    for at, (name, tag) in enumerate([(shot.cast.subject, "subject"), (shot.cast.styles[0], "style")]):
        board.picture(shot.pictures[name], (GAP + at * (side + GAP), lower), 96)
        board.text(f"the {tag}\nLoRA's own", (GAP + 108 + at * (side + GAP), lower + 12))
    _words(board, shot, title, lower + 96 + GAP)
    return board.image


def sheet(shot: Shot, title: str) -> Image.Image:
    """All labelled pictures, three a row; what they show in the first cell of three rows, else below."""
    board, names = Board(), shot.labelled
    below = len(names) < 6
    top = BADGE if below else GAP
    places = [(GAP + x * (_TWO + GAP), top + y * (_TWO + GAP)) for y in range(3) for x in range(3)]
    for name, place in zip(names, places if below else places[1:], strict=False):
        board.text(_short(name), (place[0], place[1] - 2))
        board.picture(shot.pictures[name], (place[0], place[1] + SMALL + 8), _TWO - SMALL - 4)
    if below:
        board.text("same noise,\nsame prompt", (places[5][0], places[5][1] + 80))
        _words(board, shot, title, top + 2 * (_TWO + GAP))
    else:
        subject, _, style = shot.cast.title.partition(" ")
        board.text(f"{subject}\n{style}\n{_WORLD}\nas shipped", (GAP, BADGE - 8))
    return board.image


def _short(label: str) -> str:
    return label.partition(" (")[0].removeprefix("LoRA ")


def _words(board: Board, shot: Shot, title: str, top: int) -> None:
    board.text(title, (GAP, top), LARGE, palette.TEXT)
    board.text(f"{shot.cast.title}, {_WORLD}\n{shot.settings}", (GAP, top + LARGE + 12), SMALL)
