"""What fewer picks, more picks and an eye that errs teach; in the host's interpreter.

    python -m world.picks.eyes WORKERS PAIRS [TRAININGS]     picks from the sheets of world.picks.run; resumes

The protocol, written down before the first run. All is as in ``run``, but one round alone, and the picks:
the best 1, 2, 8 or 16 pictures of the sheet that ``run`` kept, and four of which each is, with a chance of
one fifth, any other picture of the sheet in the place of its own. Round 2 has the noises that it has there,
so that a number of picks is compared with four on the same noises, pair by pair. The errors' seed is the
cell's name.
GOAL. None but to know: how many picks are enough, and what a careless eye costs.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..quality.cells import Cell
from ..training.claims import claim
from .run import PICKS, PICTURES, RESULTS, Hand, path_of, seed_of, spawn, spread, without_pixels

COUNTS = (1, 2, 8, 16)
ERRS, CHANCE = "errs", 0.2
ARMS = (*map(str, COUNTS), ERRS)


def picks_of(first: list[dict[str, Any]], arm: str, name: str) -> str:
    """The lines that this eye picks of a sheet; `name` is the cell's."""
    best = sorted(first, key=lambda picture: -picture["both"])
    if arm != ERRS:
        return "".join(f"{picture['line']}\n" for picture in best[: int(arm)])
    lots = random.Random(name)
    others = iter(lots.sample(best[PICKS:], PICKS))
    errs = (lots.random() < CHANCE for _ in range(PICKS))
    chosen = (next(others) if wrong else picture for wrong, picture in zip(errs, best, strict=False))
    return "".join(f"{picture['line']}\n" for picture in chosen)


def kept(cell: Cell) -> Path:
    """Where its results are."""
    return RESULTS / "eyes" / path_of(cell).name


def found_of(cell: Cell) -> dict[str, Any]:
    """Round 2 of every eye that was measured on a cell."""
    return dict(json.loads(kept(cell).read_text())) if kept(cell).exists() else {}


def _work(_: int, cells: list[Cell]) -> None:
    from ..quality.run import Measure

    measure = Measure()
    import folder_paths  # the host's, which Measure has entered

    for cell in cells:
        path, found = kept(cell), found_of(cell)
        done = set(found) == set(ARMS) or not path_of(cell).exists()
        if done or not claim(RESULTS / "claims" / f"eyes-{path.stem}"):
            continue
        path.parent.mkdir(exist_ok=True)
        first, hand = json.loads(path_of(cell).read_text())["first"], Hand(cell, measure)
        for arm in ARMS:
            if arm in found:
                continue
            with tempfile.TemporaryDirectory() as temp:
                folder_paths.set_temp_directory(temp)
                picks = picks_of(first, arm, path.stem)
                shown = hand.show(f"{picks}more\n", seed_of(cell), PICTURES // 2)
            found[arm] = {"second": without_pixels(shown), "spread": spread(shown)}
            path.write_text(json.dumps(found, indent=1))
        sys.stdout.write(f"eyes {path.stem}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    spawn(_work)
