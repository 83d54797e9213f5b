"""Runs the table's rows on the kept LoRAs, in the host's interpreter; what is measured already is skipped.

python -m world.quality.run WORKERS [TRAININGS [KIND]]      KIND: only rows of that kind, such as `merge`;
rows that learn, minutes a pair, are run where KIND is `learned`

Of these, written down before they were measured (one pair was run for its time): the node at its defaults;
`taught` is shown the four pictures that the judge likes best of seven proposals x 8, of noises that are not
measured. Expected: ZipLoRA and the MoLE gate behind the best plain sum, since neither sees the combination;
taught ahead of it. Ahead: by two standard errors.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp

from ..pairs import PAIRS, Pair
from ..training.claims import claim
from .cells import PICTURES, RESULTS, Cell, cells


class Measure:
    """Host, decoder and judge of one process."""

    def __init__(self) -> None:
        from ..hosts import in_host
        from ..judging.judge import Judge

        torch.set_num_threads(1)
        self.host, self.model = in_host, in_host.load_model()
        self.judge = Judge()
        self.negative = in_host.conditioning("")

    def latents(self, model: Any, pair: Pair, count: int = PICTURES, seed: int | None = None) -> torch.Tensor:
        """Latents [count, 16, 12, 12]; the same noise for every method of a pair."""
        positive = self.host.conditioning(pair.prompt)
        seed = 40 + PAIRS.index(pair) if seed is None else seed
        return self.host.sample(model, positive, self.negative, seed, count)

    def row(self, make: Any, case: Any, count: int = PICTURES) -> torch.Tensor:
        """A method's latents."""
        with torch.inference_mode():
            return self.latents(make(case), case.pair, count)

    def scores(self, latents: torch.Tensor, pair: Pair) -> dict[str, list[float]]:
        """Subject and style of each picture."""
        return self.judge.scores(latents, pair)


def measure_cell(measure: Measure, cell: Cell, rows: Sequence[Any]) -> None:
    """All rows that the cell's file lacks. Latents are kept beside the scores: the judge can look again, the
    sheet too.
    """
    from .methods import Case

    kept = json.loads(cell.path.read_text()) if cell.path.exists() else {}
    case = Case(measure.model, cell.world, cell.pair, cell.training, cell.strength)
    made: dict[str, np.ndarray] = {}
    for row in rows:
        if row.name in kept or (cell.strength != 1.0 and not row.strong):
            continue
        latents = measure.row(row.make, case)
        kept[row.name] = measure.scores(latents, cell.pair)
        made[row.name] = latents.half().numpy()
    if "base" in made:
        # Static patches of one row must not leak into the next: the base gives the same latents again.
        again = measure.latents(case.model, cell.pair).numpy()
        if np.abs(again - made["base"]).max() > 0.01:
            raise RuntimeError(f"{cell.path.stem}: the base model was changed by a method")
    if made:
        old = dict(np.load(cell.latents)) if cell.latents.exists() else {}
        np.savez(cell.latents, **{**old, **made})
        cell.path.write_text(json.dumps(kept, indent=1))


def _work(_: int, todo: list[Cell], kinds: tuple[str, ...]) -> None:
    from .methods import LEARNED, ROWS

    rows = [row for row in ROWS if (row.kind in kinds if kinds else row.kind != LEARNED)]
    measure = Measure()
    for cell in todo:
        if not claim(RESULTS / "claims" / "-".join([cell.path.stem, *kinds])):
            continue
        measure_cell(measure, cell, rows)
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {cell.path.stem}\n")
        sys.stdout.flush()


def trained(cell: Cell) -> bool:
    """Whether both LoRAs of a cell are there."""
    from ..training.loras import Job

    return all(
        Job(cell.world, n, cell.training).path().exists() for n in (cell.pair.subject, cell.pair.style)
    )


def main() -> None:
    """Measure what is missing with some processes of one thread each."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    todo = [c for c in cells(int(sys.argv[2]) if len(sys.argv) > 2 else 3) if trained(c)]
    mp.spawn(_work, args=(todo, tuple(sys.argv[3:])), nprocs=workers)


if __name__ == "__main__":
    main()
