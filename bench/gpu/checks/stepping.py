"""Step times at real sizes against core's loaders. Needs the host."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from torch import Tensor

from ...host.contenders import BAKED, BARE, BYPASS_ONE, LITERAL, OURS
from ...host.models import Case
from ...host.steps import Bench
from ...tables import spread
from ..rows import FAILED, OK, Row, bounded, same_latents
from . import cases

AIM = 1.03


def sdxl(rehearse: bool) -> Iterator[Row]:
    """SDXL with cfg: two images a batch."""
    return _rows(cases.sdxl(rehearse))


def flux(rehearse: bool) -> Iterator[Row]:
    """FLUX's format."""
    return _rows(cases.flux(rehearse))


def _rows(case: Case) -> Iterator[Row]:
    bench = Bench(case)
    # Kernels are chosen and pages taken before anything counts.
    images = bench.images()
    for turn in range(case.rounds):
        bench.round(turn)
        yield from _times(bench, f"{turn + 1} of {case.rounds} rounds of {case.evaluations} evaluations")
    yield from _right(bench, images)


def _times(bench: Bench, after: str) -> Iterator[Row]:
    for to in (BAKED, BYPASS_ONE):
        ratios = bench.ratios(OURS, to)
        yield bounded(f"K-LoRA Fuse / {to}", median(ratios), AIM, f"{spread(ratios)}, {after}")
    for name in (BARE, BAKED, BYPASS_ONE, OURS, LITERAL):
        yield Row(f"An evaluation: {name}", spread(bench.times[name], ".4f", " s") + _peak(bench, name))


def _peak(bench: Bench, name: str) -> str:
    if bench.on_cpu:
        return ""
    return f"; peak {bench.peaks[name] - bench.peaks[BARE]:+.0f} MiB over the bare model's"


def _right(bench: Bench, before: dict[str, Tensor]) -> Iterator[Row]:
    """Ours against the algorithm, and before against after the others' runs on the same weights."""
    ours, bare = before[OURS], before[BARE]
    effect, apart = cases.relative(ours, bare), cases.relative(ours, before[LITERAL])
    # The algorithm's own sums of scores are rounded to 16 bits there: near ties go either way.
    yield Row(
        "Distance from the algorithm as published",
        f"{apart:.1e} (the LoRAs' effect {effect:.1e})",
        "less than the effect",
        OK if apart < effect else FAILED,
    )
    after = bench.images((OURS, BARE))
    moved = cases.relative(after[OURS], ours), cases.relative(after[BARE], bare)
    yield same_latents("Latents after the others' runs", *moved, effect)
