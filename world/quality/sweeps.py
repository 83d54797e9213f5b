"""What each control does to subject and style, on tuning pairs alone, first training.

python -m world.quality.sweeps WORKERS      runs in the host's interpreter; what is measured is skipped
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.multiprocessing as mp

from ..model.sampling import STEPS
from ..pairs import TUNING
from ..places import WORK
from ..training.claims import claim
from .cells import WORLDS, Cell
from .run import Measure, trained

RESULTS = WORK / "sweeps"
ALL_ENTRIES = 0
# The points of a curve in its order; the paper's own setting is among them.
CURVES: dict[str, tuple[str, ...]] = {
    "alpha": ("0.01", "0.5", "1", "1.5", "2", "3"),
    "beta": ("0", "0.25", "0.5", "0.75", "1", "1.5"),
    "balance": ("-1", "-0.75", "-0.5", "-0.25", "0", "0.25", "0.5", "1"),
    "gamma": ("paper", "reference", "none"),
    "K": ("1", "16", "r r", "2048", "all"),
    "schedule": ("s", "s*"),
    "sum": ("0.3", "0.4", "0.5", "0.6", "0.7", "0.85", "1"),
}


@dataclass(frozen=True)
class Point:
    """One setting of one control."""

    curve: str
    value: str

    @property
    def key(self) -> str:
        """Settings that are the same run share a key."""
        usual = {"alpha": "1.5", "beta": "0.5", "balance": "0", "gamma": "paper", "K": "r r", "schedule": "s"}
        return "K-LoRA s" if usual.get(self.curve) == self.value else f"{self.curve} {self.value}"


def points() -> Iterator[Point]:
    """Every point of every curve."""
    for curve, values in CURVES.items():
        for value in values:
            yield Point(curve, value)


def scores(case: Any, k: int | None) -> tuple[np.ndarray, np.ndarray, float]:
    """Sums of the k largest |entries| a slot of subject and style (Eqs. 3 to 5), and gamma (Eq. 9); k None:
    r_c r_s.
    """
    sums, totals = [], []
    for factors in case.factors:
        deltas = [(up @ down).abs().flatten().double() for _, (up, down) in sorted(factors.items())]
        ranks = [down.shape[0] for _, (_, down) in sorted(factors.items())]
        counts = [
            r * r if k is None else (d.numel() if k == ALL_ENTRIES else k)
            for d, r in zip(deltas, ranks, strict=True)
        ]
        sums.append(
            np.array(
                [float(d.topk(min(n, d.numel())).values.sum()) for d, n in zip(deltas, counts, strict=True)]
            )
        )
        totals.append(sum(float(d.sum()) for d in deltas))
    return sums[0], sums[1], totals[0] / totals[1]


def with_k(case: Any, k: int | None) -> np.ndarray:
    """K-LoRA s with another K, int8 [steps, 33]: Eq. 10 with Eq. 7's S at x = (i + 1/2) / T."""
    subject, style, gamma = scores(case, k)
    scale = 1.5 * (np.arange(STEPS) + 0.5) / STEPS + 0.5
    return (subject[None] < gamma * scale[:, None] * style[None]).astype(np.int8)


def maker(point: Point) -> Callable[[Any], Any]:
    """How a point's MODEL is made."""
    from .methods import node, summed
    from .timed import timed

    value = point.value
    if point.curve == "K":
        k = {"r r": None, "all": ALL_ENTRIES}.get(value, int(value) if value.isdigit() else None)
        return lambda case: timed(case.model, with_k(case, k), case.factors, case.strength)
    if point.curve == "sum":
        return summed(float(value), float(value))
    if point.curve == "schedule":
        return node(value)
    if point.curve == "balance":
        return node("s", float(value))
    if point.curve == "gamma":
        return node("s", gamma=value)
    return node("s", **{point.curve: float(value)})


def _work(_: int, todo: list[Cell]) -> None:
    from .methods import Case

    measure = Measure()
    for cell in todo:
        if not claim(RESULTS / "claims" / cell.path.stem):
            continue
        path = RESULTS / cell.path.name
        kept = json.loads(path.read_text()) if path.exists() else {}
        case = Case(measure.model, cell.world, cell.pair, cell.training, cell.strength)
        for point in points():
            if point.key not in kept:
                kept[point.key] = measure.scores(measure.row(maker(point), case), cell.pair)
        path.write_text(json.dumps(kept, indent=1))
        sys.stdout.write(f"sweep {cell.path.stem}\n")
        sys.stdout.flush()


def sweep_cells() -> list[Cell]:
    """Tuning pairs of both worlds."""
    return [Cell(w, 1.0, 0, p) for p in TUNING for w in WORLDS]


def main() -> None:
    """Measure what is missing."""
    mp.spawn(
        _work,
        args=([c for c in sweep_cells() if trained(c)],),
        nprocs=int(sys.argv[1]) if len(sys.argv) > 1 else 2,
    )


if __name__ == "__main__":
    main()
