"""Two rounds of Pick and Learn on one pair, as a sheet, with the judge in the place of the eye.

    python -m world.picks.sheet [PAIR]      assets/picks.jpg; in the host's interpreter, a minute of a CPU

Above, pictures of all rules, those that were picked in a frame; below, what was learned of the four beside
the best rule, from the same noises, which were not above.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from klora_core import palette

from ..pairs import PAIRS, Pair
from ..pictures.board import Board
from ..places import REPO
from ..quality.cells import Cell
from ..quality.run import Measure
from .run import PICKS, Hand, picked

OUT, PAIR = REPO / "assets" / "picks.jpg", "owl-neon"
NOISES, BLOCKS, QUALITY = 4, 2, 75
"""Pictures a rule, rules side by side, the JPEG's quality: 120 KB."""
LABEL, SMALL, LARGE, GAP, LINE = 160, 76, 92, 6, 40
WORDS = 17
"""The size of all letters."""

Shown = list[dict[str, Any]]


def by_rule(shown: Shown) -> dict[str, Shown]:
    """The pictures of each rule, in the order of their noises."""
    rules = dict.fromkeys(picture["rule"] for picture in shown)
    return {rule: [picture for picture in shown if picture["rule"] == rule] for rule in rules}


def rounds(pair: Pair, seed: int) -> tuple[Shown, str, Shown]:
    """What round 1 shows, the lines that are picked there, and what round 2 shows."""
    measure = Measure()
    import folder_paths  # the host's, which Measure has entered

    with tempfile.TemporaryDirectory() as temp:
        folder_paths.set_temp_directory(temp)
        hand = Hand(Cell("redundant", 1.0, 0, pair), measure)
        first = hand.show("", seed, NOISES)
        picks = picked(first)
        return first, picks, hand.show(f"{picks}more\n", seed, NOISES)


def sheet(first: Shown, picks: str, second: Shown, title: str) -> Image.Image:
    """Both rounds, a rule a row."""
    above, below = by_rule(first), by_rule(second)
    rows = -(-len(above) // BLOCKS)
    block = LABEL + NOISES * (SMALL + GAP) + 2 * GAP
    lower = LINE + rows * (SMALL + GAP)
    board = Board((GAP + BLOCKS * block, lower + LINE + len(below) * (LARGE + GAP) + GAP))
    board.text(f"Round 1, {title}: every rule, {PICKS} pictures picked", (GAP, GAP), WORDS, palette.TEXT)
    for at, (rule, pictures) in enumerate(above.items()):
        column, row = divmod(at, rows)
        _row(board, (GAP + column * block, LINE + row * (SMALL + GAP)), SMALL, rule, pictures, picks)
    words = "Round 2: what was learned from these four, beside the best rule; same noises, new ones"
    board.text(words, (GAP, lower + GAP), WORDS, palette.TEXT)
    for row, (rule, pictures) in enumerate(below.items()):
        _row(board, (GAP, lower + LINE + row * (LARGE + GAP)), LARGE, rule, pictures)
    return board.image


def _row(board: Board, at: tuple[int, int], side: int, rule: str, pictures: Shown, picks: str = "") -> None:
    board.text(rule, (at[0], at[1] + side // 2 - WORDS // 2), WORDS)
    for place, picture in enumerate(pictures):
        x, y = at[0] + LABEL + place * (side + GAP), at[1]
        board.picture(_image(picture), (x, y), side)
        if picture["line"] in picks.splitlines():
            box = (x, y, x + side - 1, y + side - 1)
            ImageDraw.Draw(board.image).rectangle(box, outline=palette.SUBJECT_COLOUR, width=4)


def _image(picture: dict[str, Any]) -> Image.Image:
    pixels = picture["pixels"].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))


def main() -> None:
    """Write the picture, and say what the judge gave."""
    name = sys.argv[1] if len(sys.argv) > 1 else PAIR
    pair = next(pair for pair in PAIRS if pair.name == name)
    # Noises that no table has.
    first, picks, second = rounds(pair, 200_000 + 10_000 * PAIRS.index(pair))
    sheet(first, picks, second, f"{pair.subject} in {pair.style}").save(OUT, quality=QUALITY, optimize=True)
    for shown in (first, second):
        for rule, pictures in by_rule(shown).items():
            mean = sum(picture["both"] for picture in pictures) / len(pictures)
            sys.stdout.write(f"{rule}: {mean:.2f}\n")
    sys.stdout.write(picks)


if __name__ == "__main__":
    main()
