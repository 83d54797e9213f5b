"""Writes bench/PICKS.md of what was measured: python -m world.picks.table"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..places import REPO
from ..quality.cells import WORLDS
from ..quality.stats import Estimate, estimate
from . import other_eyes
from .run import PICKS, PICTURES, SETS, path_of, todo
from .scores import rows, share

OUT = REPO / "bench" / "PICKS.md"
INTRO = """# Pick and Learn, with a judge in the place of the eye

Made by `python -m world.picks.run` and `world.picks.table`; the protocol is the head of `world/picks/run.py`,
written down before the first run, but for variety beside the subject LoRA's alone, added after the five. On
the small world (world/README.md), one training of each LoRA, strength 1. The judge picks the {picks} best of
a sheet of thirteen rules x {pictures} pictures; scores are those of other noises than any picture that was
picked. **both**: the mean harmonic mean of subject and style, its
error over pairs. The best rule of each pair, in hindsight, has the best of thirteen means of four pictures,
more than it would have on others. A judge is no person: it picks by what is measured here.
"""
TITLES = {"five": "Five tuning pairs, one of each style", "held-out": "Held-out pairs, run once"}


def section(world: str, cells: list[dict[str, Any]], names: list[str]) -> Iterator[str]:
    """The table of a world."""
    found = dict(rows(cells))
    yield f"### {world}: {len(cells)} pairs\n"
    yield "| | " + " | ".join(found) + " |"
    yield "|---|" + "---|" * len(found)
    yield "| **all** | " + " | ".join(f"**{estimate(values)}**" for values in found.values()) + " |"
    for name, *values in zip(names, *found.values(), strict=True):
        yield f"| {name} | " + " | ".join(str(Estimate(value, np.nan)) for value in values) + " |"
    yield ""
    learned = np.array(found["learned, one round"])
    for other in (next(iter(found)), "best rule of each pair, in hindsight"):
        ahead = estimate(list(learned - np.array(found[other])))
        yield f"- learned in one round, minus {other}: {ahead}, ahead on {(learned > found[other]).sum()}"
        yield f"  of {len(learned)} pairs"
    for what, shares in (
        ("the picked rule's", [share(cell["spread"]) for cell in cells]),
        ("the subject LoRA's alone", [cell["spread"]["learned 2"] / cell["alone"] for cell in cells]),
    ):
        yield f"- variety, of {what}: {estimate(shares)}; lowest {min(shares):.2f}"
    cpu = np.mean([cell["cpu"] for cell in cells])
    yield f"- all that was measured of a pair took {cpu:.0f} s of one core\n"


def main() -> None:
    """Write it."""
    lines = [INTRO.format(picks=PICKS, pictures=PICTURES)]
    for name, title in TITLES.items():
        cells = [cell for cell in todo(SETS[name], 1) if path_of(cell).exists()]
        if not cells:
            continue
        lines.append(f"## {title}\n")
        if len(cells) < len(SETS[name]) * len(WORLDS):
            lines.append(f"Those that were reached in the order of `world/pairs.py`, of {len(SETS[name])}.\n")
        for world in WORLDS:
            own = [cell for cell in cells if cell.world == world]
            lines += section(
                world, [json.loads(path_of(c).read_text()) for c in own], [c.pair.name for c in own]
            )
        lines += other_eyes.section(cells, f"figures/picks-{name}.png")
    OUT.write_text("\n".join(lines).rstrip() + "\n")
    sys.stdout.write(f"{OUT.relative_to(REPO)}\n")


if __name__ == "__main__":
    main()
