"""The labelled sheet: a pair a row, a method a column, the same noise throughout."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..model.fit_vae import load_decoder
from ..pairs import HELD_OUT
from ..places import REPO
from .cells import Cell
from .stats import Scores

OUT = REPO / "bench" / "quality.jpg"
COLUMNS = {
    "subject alone": "subject alone",
    "style alone": "style alone",
    "sum .5": "sum .5",
    "sum .7": "sum .7",
    "sum 1": "sum 1",
    "K-LoRA s": "K-LoRA s",
    "K-LoRA s, loser outside": "s, loser outside",
    "K-LoRA s*": "K-LoRA s*",
    "s by chance": "s by chance",
    "half by chance": "half by chance",
}
"""Rows of the table that are shown, and what stands above them."""
SIDE, GAP, LEFT, TOP = 96, 4, 92, 40


def _score(scores: Scores, picture: int) -> str:
    c, s = scores["subject"][picture], scores["style"][picture]
    return f"{c:.2f} {s:.2f}".replace("0.", ".")


def sheet(world: str, picture: int = 0) -> Image.Image:
    """The held-out pairs; under each picture its subject and style score."""
    width = LEFT + len(COLUMNS) * (SIDE + GAP)
    height = TOP + len(HELD_OUT) * (SIDE + 14 + GAP)
    image = Image.new("RGB", (width, height), "white")
    decoder = load_decoder()
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    told = f"{world} LoRAs, first training, strength 1, held-out pairs."
    pen.text((4, 4), f"{told} Under a picture: subject and style score.", "black", font)
    for i, label in enumerate(COLUMNS.values()):
        pen.text((LEFT + i * (SIDE + GAP), TOP - 16), label, "black", font)
    for row, pair in enumerate(HELD_OUT):
        y, cell = TOP + row * (SIDE + 14 + GAP), Cell(world, 1.0, 0, pair)
        pen.text((4, y + 30), f"{pair.subject}\nin {pair.style}", "black", font)
        kept, scores = np.load(cell.latents), json.loads(cell.path.read_text())
        for i, name in enumerate(COLUMNS):
            x = LEFT + i * (SIDE + GAP)
            shown = decoder(torch.from_numpy(kept[name][picture : picture + 1]).float())[0].clamp(0, 1)
            image.paste(Image.fromarray((shown * 255).round().byte().permute(1, 2, 0).numpy()), (x, y))
            pen.text((x, y + SIDE), _score(scores[name], picture), "black", font)
    return image


def main() -> None:
    """Write bench/quality.jpg, or another world's sheet: WORLD PATH."""
    world, path = (sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 2 else ("redundant", OUT)
    sheet(world).save(path, quality=75)


if __name__ == "__main__":
    main()
