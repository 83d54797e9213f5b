"""Writes bench/FUSABLE.md of what `world.fusable.run` measured.

python -m world.fusable.table
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..pairs import PAIRS
from ..places import REPO
from ..quality.stats import Scores, estimate, harmonic
from ..training.loras import NAMES, TRAININGS
from .run import ROWS, kept_at
from .train import FOLDER, KINDS, METHODS

OUT = REPO / "bench" / "FUSABLE.md"
PLAIN = next(iter(METHODS))
INTRO = """# Do LoRAs that are trained for fusion fuse better?

Made by `python -m world.fusable.train`, `run` and `table`; the protocol is the head of
`world/fusable/run.py`, written down before the first run. On the small world (world/README.md), strength 1,
through the pack's own nodes. Own: a LoRA's score alone. Kept: the share of it that a random half of its
modules keeps. The rest are joint scores of pairs, fused; ± is the standard error over LoRAs, or pairs, of
which those of each training count. Bold: ahead of `node` by two standard errors of the paired difference.
UnZipLoRA is missing: it is not for networks of joint attention.
"""


def measured(kind: str, names: Sequence[str], folder: Path) -> dict[str, dict]:
    """What was measured of a kind, by LoRA or pair and training."""
    found = {}
    for training in range(TRAININGS):
        for name in names:
            path = kept_at(kind, name, training, folder)
            if path.exists():
                found[f"{name} {training}"] = json.loads(path.read_text())
    return found


def ahead(own: dict[str, float], plain: dict[str, float]) -> bool:
    """Whether the mean difference over what both have is two standard errors above nothing."""
    both = estimate([own[key] - plain[key] for key in own.keys() & plain.keys()])
    return both.mean > 2 * both.error


def cell(of: Callable[[dict], float], own: dict[str, dict], plain: dict[str, dict]) -> str:
    """A number of a kind, bold where it is surely above that of the node's plain LoRAs."""
    mine, theirs = ({key: of(value) for key, value in each.items()} for each in (own, plain))
    told = str(estimate([*mine.values()]))
    return f"**{told}**" if own is not plain and ahead(mine, theirs) else told


def _joint(row: str) -> Callable[[dict[str, Scores]], float]:
    return lambda scores: harmonic(scores[row])


def text(folder: Path = FOLDER) -> str:
    """The whole document."""
    return "\n".join([INTRO, *_lines(folder), ""])


def _lines(folder: Path) -> Iterator[str]:
    alone = {kind: measured(kind, NAMES, folder) for kind in KINDS}
    pairs = {kind: measured(kind, [pair.name for pair in PAIRS], folder) for kind in KINDS}
    yield "| LoRAs | pairs | own | kept | " + " | ".join(ROWS) + " |"
    yield "|---" * (4 + len(ROWS)) + "|"
    for kind in KINDS:
        if not alone[kind] or not pairs[kind]:
            continue
        cells = [cell(lambda each, key=key: each[key], alone[kind], alone[PLAIN]) for key in ("own", "kept")]  # type: ignore[misc]
        cells += [cell(_joint(row), pairs[kind], pairs[PLAIN]) for row in ROWS]
        yield f"| {kind} | {len(pairs[kind])} | " + " | ".join(cells) + " |"


def main() -> None:
    """Write it."""
    OUT.write_text(text())
    sys.stdout.write(f"{OUT.relative_to(REPO)}\n")


if __name__ == "__main__":
    main()
