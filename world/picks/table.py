"""Writes bench/PICKS.md of what was measured: python -m world.picks.table"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..places import REPO
from ..quality.cells import WORLDS, Cell
from ..quality.stats import Estimate, estimate
from .eyes import ARMS, ERRS, found_of, kept, picks_of
from .figure import PICKED, panel, write
from .run import PICKS, PICTURES, SETS, path_of, todo

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
_BY_COUNT = (*map(str, PICKED), ERRS)
_NAMES = (*(f"the best {count}" for count in PICKED), "4, a fifth of them at random")


def by_rule(shown: list[dict[str, Any]]) -> dict[str, float]:
    """Mean joint score of each rule's pictures."""
    found = defaultdict(list)
    for picture in shown:
        found[picture["rule"]].append(picture["both"])
    return {rule: float(np.mean(each)) for rule, each in found.items()}


def rows(cells: list[dict[str, Any]]) -> Iterator[tuple[str, list[float]]]:
    """(what, joint score by cell) of a world."""
    rules = [by_rule(cell["rules"]) for cell in cells]
    second, third = ([by_rule(cell[name]) for cell in cells] for name in ("second", "third"))
    single = max(rules[0], key=lambda rule: np.mean([each[rule] for each in rules]))
    yield f"best single rule: {single}", [each[single] for each in rules]
    yield "best rule of each pair, in hindsight", [max(each.values()) for each in rules]
    picked = [next(rule for rule in each if not rule.startswith("learned")) for each in second]
    yield "rule that was picked most", [each[rule] for each, rule in zip(second, picked, strict=True)]
    yield "learned, one round", [each["learned 2"] for each in second]
    taken = [cell["taken"] for cell in cells]
    yield "taken then, noises of round 3", [each[rule] for each, rule in zip(third, taken, strict=True)]
    yield "learned, two rounds, the same noises", [each["learned 3"] for each in third]


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


def eyes(cells: list[Cell], figure: Path) -> Iterator[str]:
    """What other numbers of picks taught, and an eye that errs, on the pairs where all of it was measured."""
    by_world = {w: [c for c in cells if c.world == w and set(found_of(c)) == set(ARMS)] for w in WORLDS}
    if not all(by_world.values()):
        return
    found = {world: [by_eye(own, arm) for arm in _BY_COUNT] for world, own in by_world.items()}
    write(figure, [_panel(world, own, found[world]) for world, own in by_world.items()])
    yield f"### Other eyes, one round: {' and '.join(str(len(each)) for each in by_world.values())} pairs\n"
    heads = (f"{world}: **both** | minus four picks | variety, of the picked rule's" for world in WORLDS)
    yield f"| picked | {' | '.join(heads)} |"
    yield "|---|" + "---|" * 3 * len(WORLDS)
    for i, name in enumerate(_NAMES):
        yield f"| {name} | " + " | ".join(str(each) for world in WORLDS for each in found[world][i]) + " |"
    told = [by_mistake(cell) for own in by_world.values() for cell in own]
    wrong, cost = sum(count for count, _ in told), sum(lost for _, lost in told)
    yield f"\nOf the last row's {PICKS * len(told)} picks {wrong} were random ones: {cost / wrong:.2f} each."
    if len(told) < len(cells):
        yield "The pairs are those that were reached, in the order of `world/pairs.py`."
    yield ""
    yield f"![Score against picks](figures/{figure.name})\n"
    yield "The protocol is the head of `world/picks/eyes.py`; bars and ± are standard errors over pairs.\n"


def _panel(world: str, cells: list[Cell], found: list[tuple[Any, ...]]) -> Image.Image:
    rules = list(rows([json.loads(path_of(cell).read_text()) for cell in cells]))[:2]
    *learned, errs = (both for both, *_ in found)
    return panel(
        f"{world} LoRAs, {len(cells)} pairs", learned, errs, [(name, estimate(each)) for name, each in rules]
    )


def by_eye(cells: list[Cell], arm: str) -> tuple[Any, ...]:
    """Joint score of what one eye taught, the same less four picks', and its variety; over pairs."""
    four = [json.loads(path_of(cell).read_text()) for cell in cells]
    seen = four if arm == str(PICKS) else [found_of(cell)[arm] for cell in cells]
    own, theirs = ([by_rule(each["second"])["learned 2"] for each in which] for which in (seen, four))
    ahead = "" if seen is four else estimate([a - b for a, b in zip(own, theirs, strict=True)])
    return estimate(own), ahead, estimate([share(each["spread"]) for each in seen])


def by_mistake(cell: Cell) -> tuple[int, float]:
    """How many of the erring eye's picks are none of the best four, and what they changed."""
    first = json.loads(path_of(cell).read_text())
    best, its = (
        set(picks_of(first["first"], arm, kept(cell).stem).splitlines()) for arm in (str(PICKS), ERRS)
    )
    four, errs = (by_rule(each)["learned 2"] for each in (first["second"], found_of(cell)[ERRS]["second"]))
    return len(its - best), errs - four


def share(spread: dict[str, float]) -> float:
    """How varied what was learned is, of the rule's beside it."""
    return spread["learned 2"] / next(value for rule, value in spread.items() if rule != "learned 2")


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
        lines += eyes(cells, OUT.parent / "figures" / f"picks-{name}.png")
    OUT.write_text("\n".join(lines).rstrip() + "\n")
    sys.stdout.write(f"{OUT.relative_to(REPO)}\n")


if __name__ == "__main__":
    main()
