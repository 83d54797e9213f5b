"""The table and the figure of what other numbers of picks taught, and an eye that errs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..places import REPO
from ..quality.cells import WORLDS, Cell
from ..quality.plot import CURVE, FRONT, MARGIN, SIDE, SINGLE, Plot, save
from ..quality.stats import Estimate, estimate
from .eyes import ARMS, CHANCE, COUNTS, ERRS, found_of, kept, picks_of
from .run import PICKS, path_of
from .scores import by_rule, rows, share

_PICKED = sorted((*COUNTS, PICKS))
_ERRING = f"{PICKS}, each with a chance of {CHANCE} any other"
_ROWS = {**{str(count): f"the best {count}" for count in _PICKED}, ERRS: _ERRING}
_WIDTH, _RED = 3 * SIDE // 2, (170, 30, 90)

Round = dict[str, Any]


def section(cells: list[Cell], figure: str) -> Iterator[str]:
    """Its lines, of the cells where all of it was measured; `figure`, in bench/, is drawn beside them."""
    by_world = {w: [c for c in cells if c.world == w and set(found_of(c)) == set(ARMS)] for w in WORLDS}
    if not all(by_world.values()):
        return
    first = {w: [json.loads(path_of(cell).read_text()) for cell in own] for w, own in by_world.items()}
    by_arm = {
        w: [{str(PICKS): run, **found_of(cell)} for run, cell in zip(first[w], own, strict=True)]
        for w, own in by_world.items()
    }
    found = {w: {arm: told(own, arm) for arm in _ROWS} for w, own in by_arm.items()}
    yield f"### Other eyes, one round: {' and '.join(str(len(own)) for own in by_world.values())} pairs\n"
    heads = (f"{world}: **both** | minus {PICKS} picks | variety, of the picked rule's" for world in WORLDS)
    yield f"| picked | {' | '.join(heads)} |"
    yield "|---|" + "---|" * 3 * len(WORLDS)
    for arm, name in _ROWS.items():
        yield f"| {name} | " + " | ".join(str(each) for world in WORLDS for each in found[world][arm]) + " |"
    wrong, cost, count = 0, 0.0, sum(map(len, by_world.values()))
    for world, own in by_world.items():
        for cell, run, seen in zip(own, first[world], by_arm[world], strict=True):
            wrong += errors(run["first"], kept(cell).stem)
            cost += learned(seen[ERRS]) - learned(run)
    each = Estimate(cost / wrong, np.nan)
    yield f"\nOf the last row's {PICKS * count} picks {wrong} were others: {each} each."
    if count < len(cells):
        yield "The pairs are those that were reached, in the order of `world/pairs.py`."
    save(REPO / "bench" / figure, [_plot(w, first[w], found[w]) for w in WORLDS])
    yield f"\n![Score against picks]({figure})\n"
    yield "The protocol is the head of `world/picks/eyes.py`; bars and ± are standard errors over pairs.\n"


def learned(one: Round) -> float:
    """The joint score of what a round's picks taught."""
    return by_rule(one["second"])["learned 2"]


def told(cells: list[dict[str, Round]], arm: str) -> tuple[Estimate, Estimate | str, Estimate]:
    """Joint score of what an eye taught, the same less that of four picks, and its variety; over pairs."""
    less = [learned(cell[arm]) - learned(cell[str(PICKS)]) for cell in cells]
    return (
        estimate([learned(cell[arm]) for cell in cells]),
        "" if arm == str(PICKS) else estimate(less),
        estimate([share(cell[arm]["spread"]) for cell in cells]),
    )


def errors(first: list[Round], name: str) -> int:
    """How many of the erring eye's picks are none of the best."""
    best, its = (set(picks_of(first, arm, name).splitlines()) for arm in (str(PICKS), ERRS))
    return len(its - best)


def _plot(world: str, runs: list[Round], found: dict[str, tuple[Estimate, Estimate | str, Estimate]]) -> Plot:
    """One world's: numbers of picks by doubling, bars of one standard error, lines for the rules."""
    plot = Plot(f"{world} LoRAs, {len(runs)} pairs", "both", "pictures picked", _WIDTH)

    def x(place: float) -> float:
        return MARGIN + _WIDTH * (place + 0.5) / len(_PICKED)

    single, hindsight = list(rows(runs))[:2]
    for (_, values), colour in ((single, SINGLE), (hindsight, FRONT)):
        y = plot.y(estimate(values).mean)
        plot.pen.line([(MARGIN, y), (MARGIN + _WIDTH, y)], colour, 2)
    line = [(x(i), found[str(count)][0]) for i, count in enumerate(_PICKED)]
    plot.pen.line([(at, plot.y(each.mean)) for at, each in line], CURVE, 2)
    errs = (x(_PICKED.index(PICKS) + 0.12), found[ERRS][0])
    for (at, each), colour in (*((mark, CURVE) for mark in line), (errs, _RED)):
        y = plot.y(each.mean)
        plot.pen.line([(at, plot.y(each.mean - each.error)), (at, plot.y(each.mean + each.error))], colour, 2)
        plot.pen.ellipse([(at - 4, y - 4), (at + 4, y + 4)], fill=colour)
    for (at, _), count in zip(line, _PICKED, strict=True):
        plot.tick(at, str(count))
    plot.legend(
        [
            ("learned from the best", CURVE),
            (f"learned from {_ERRING}", _RED),
            (single[0], SINGLE),
            (hindsight[0], FRONT),
        ]
    )
    return plot
