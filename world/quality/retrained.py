"""Whether a world that was trained anew orders the methods as the kept one does: writes bench/RETRAINED.md.

WORLD_ROOT=build/other WORLD_SEED=1 python -m world.quality.retrained, after `world.quality.run` there.

The kept world's means and errors are those of bench/QUALITY.md. Two methods count as different where their
means of both are more than two standard errors of their difference apart there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from ..places import REPO, SEED
from .cells import WORLDS
from .stats import Estimate, Results, harmonic

KEPT, OUT = REPO / "bench" / "QUALITY.md", REPO / "bench" / "RETRAINED.md"
CLEARLY, ROUNDED = 2.0, 0.005
_VALUE = re.compile(r"\*\*(-?\d*\.\d+) ± (\d*\.\d+)\*\*")


@dataclass(frozen=True)
class Ordered:
    """Two methods that differ clearly in the kept world, the better one first; by how much there and here."""

    better: str
    worse: str
    kept: float
    error: float
    here: float


def kept_table(text: str, strength: float) -> dict[str, dict[str, Estimate]]:
    """{world: {method: mean of both and its error}} of QUALITY.md's table of all pairs at a strength."""
    part = text.split(f"## All pairs, strength {strength:g}:")[1].split("\n## ")[0]
    found: dict[str, dict[str, Estimate]] = {world: {} for world in WORLDS}
    for line in part.splitlines():
        values = _VALUE.findall(line)
        if len(values) == len(WORLDS):
            name = line.split("|")[1].strip()
            for world, (mean, error) in zip(WORLDS, values, strict=True):
                found[world][name] = Estimate(float(mean), float(error))
    return found


def ordered(kept: dict[str, Estimate], here: dict[str, float]) -> list[Ordered]:
    """Every two methods that differ clearly in ``kept``, with their difference in both worlds."""
    pairs = []
    for one, other in combinations([name for name in kept if name in here], 2):
        better, worse = (one, other) if kept[one].mean >= kept[other].mean else (other, one)
        error = sum(max(kept[name].error, ROUNDED) ** 2 for name in (one, other)) ** 0.5
        apart = kept[better].mean - kept[worse].mean
        if apart > CLEARLY * error:
            pairs.append(Ordered(better, worse, apart, error, here[better] - here[worse]))
    return pairs


def _section(world: str, kept: dict[str, Estimate], results: Results) -> Iterator[str]:
    here = {name: results.value(name, harmonic).mean for name in kept if results.has(name)}
    pairs = ordered(kept, here)
    turned = sorted((pair for pair in pairs if pair.here < 0), key=lambda pair: pair.here)
    yield f"## {world}\n"
    yield (
        f"{len(here)} methods, {len(pairs)} pairs of them that differ clearly in the kept world: in "
        f"{len(pairs) - len(turned)} the same one is ahead, in {len(turned)} the other.\n"
    )
    yield "| | kept: both | retrained: both |\n|---|---|---|"
    for name in sorted(here, key=lambda name: -kept[name].mean):
        yield f"| {name} | {kept[name]} | {Estimate(here[name], float('nan'))} |"
    yield ""
    if turned:
        yield "| ahead in the kept world | behind | by, kept | by, retrained |\n|---|---|---|---|"
        for pair in turned:
            yield f"| {pair.better} | {pair.worse} | {pair.kept:.2f} ± {pair.error:.2f} | {pair.here:.2f} |"
        yield ""


def main() -> None:
    """Write the page."""
    kept = kept_table(KEPT.read_text(), 1.0)
    results = {world: Results(world, 1.0) for world in WORLDS}
    trainings = min(len(found.trainings) for found in results.values())
    if not trainings:
        sys.exit("No training is measured whole at strength 1: run world.quality.run first.")
    lines = [
        "# A world trained anew\n",
        f"Everything from nothing with other seeds (WORLD_SEED={SEED}): pictures, word vectors, VAE, base",
        "model, judge, LoRAs. The same pairs, prompts and methods at strength 1; trainings of the LoRAs",
        f"there: {trainings}; in the kept world: three. Two methods differ clearly where they are more than",
        f"{CLEARLY:g} standard errors of their difference apart in the kept world; an error below half of",
        "the last digit that its table shows counts as that half.\n",
    ]
    for world in WORLDS:
        lines += _section(world, kept[world], results[world])
    OUT.write_text("\n".join(lines).rstrip() + "\n")
    sys.stdout.write(f"{OUT.relative_to(REPO)} written.\n")


if __name__ == "__main__":
    main()
