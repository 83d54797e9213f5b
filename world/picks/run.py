"""What is learned from picks, with the judge in the place of the eye; in the host's interpreter.

    python -m world.picks.run WORKERS PAIRS [TRAININGS]     PAIRS: five, tuning or held-out; resumes

Five are the first: one tuning pair of each style.

The protocol, written down before the first run.

EYE. Of the pictures that the node shows, the judge picks the four of the highest joint score.
SHEET. The node's usual rules at its defaults, eight noises a rule, strength 1; noise seeds of its own, so
that no picture of a sheet is one of bench/QUALITY.md's.
ROUNDS. Four picks, then ``more``: round 2 shows what was learned beside the best rule, from noises that no
round had. Four picks of these, ``more`` again: round 3. Then ``take``.
MEASURED. Joint scores on those new noises: learned 2 and the best rule of the picks in round 2, and all rules
from the first four of its noises; learned 3 and what is taken in round 3.
COMPARED. The best single rule of all pairs (by its mean), the best rule pair by pair in hindsight, and the
bound of bench/QUALITY.md.
VARIETY. The mean distance between two pictures of learned 2, by that of the best rule's of the same noises.
Added after the five: the same distance between pictures of the subject's LoRA alone. A rule whose pictures
are wrong in many ways is far spread, too; the subject alone is right, and tells what its own spread is.
GOAL. Learned 2 is ahead of the best single rule and of the best rule pair by pair, by two standard errors
over pairs; taken, after two rounds, is no worse than learned 2; variety is .8 or more.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

from ..model.sampling import GUIDANCE, STEPS
from ..pairs import HELD_OUT, PAIRS, TUNING, Pair
from ..places import WORK
from ..quality.cells import WORLDS, Cell
from ..quality.run import trained
from ..training.claims import claim

RESULTS = WORK / "picks"
_FIVE = ("owl-ink", "skull-neon", "ambulance-blueprint", "trumpet-mosaic", "octopus-halftone")
SETS = {"five": tuple(p for p in TUNING if p.name in _FIVE), "tuning": TUNING, "held-out": HELD_OUT}
PICTURES, PICKS, ALL_RULES = 8, 4, 4
BETWEEN = 1000
"""How far the node's noises of two rounds lie apart."""


def path_of(cell: Cell) -> Path:
    """Its results: rounds as the judge saw them, by rule and noise."""
    return RESULTS / cell.path.name


def seed_of(cell: Cell) -> int:
    """The noise seed of a cell's first sheet: of no other table."""
    return 100_000 + 10_000 * PAIRS.index(cell.pair)


class Hand:
    """The node on one cell, and the judge that looks at what it shows."""

    def __init__(self, cell: Cell, measure: Any) -> None:
        from ..hosts.in_host import Words, load_vae
        from ..quality.methods import Case, lora_set, pack_nodes

        self._node, self._measure, self._pair = pack_nodes().KLoRAPickAndLearn, measure, cell.pair
        self._case = case = Case(measure.model, cell.world, cell.pair, cell.training, cell.strength)
        self._given = {
            "model": case.model, "clip": Words(), "vae": load_vae(), "set": lora_set(case),
            "prompt": cell.pair.prompt, "negative": "", "width": 96, "height": 96, "steps": STEPS,
            "cfg": GUIDANCE, "sampler": "euler", "scheduler": "simple",
        }  # fmt: skip

    def alone(self, seed: int) -> float:
        """The spread of as many pictures of the subject's LoRA alone as a round after the first shows."""
        from ..quality.methods import summed

        with torch.inference_mode():
            model = summed(1.0, 0.0)(self._case)
            latents = self._measure.latents(model, self._pair, PICTURES, seed + BETWEEN)
            return float(torch.pdist(self._measure.judge.pictures(latents).flatten(1)).mean())

    def show(self, picks: str, seed: int, pictures: int) -> list[dict[str, Any]]:
        """The pictures of a round with the judge's scores, and their pixels' spread by rule."""
        # As the host runs a node.
        with torch.inference_mode():
            out = self._node.execute(**self._given, picks=picks, seed=seed, pictures=pictures)
            drawn = out.result[2].permute(0, 3, 1, 2).float()
            verdict = self._measure.judge(drawn, self._pair.subject, self._pair.style)
        shown = out.ui["klora_picks"][0]
        return [
            {
                "rule": page["rule"], "seed": page["seed"], "line": page["line"], "taken": shown["taken"],
                "subject": round(float(c), 4), "style": round(float(s), 4), "both": round(float(b), 4),
                "pixels": pixels,
            }
            for page, c, s, b, pixels in zip(
                shown["pictures"], verdict.subject, verdict.style, verdict.both, drawn, strict=True
            )
        ]  # fmt: skip


def picked(shown: list[dict[str, Any]]) -> str:
    """The lines of the four best."""
    best = sorted(shown, key=lambda picture: -picture["both"])[:PICKS]
    return "".join(f"{picture['line']}\n" for picture in best)


def spread(shown: list[dict[str, Any]]) -> dict[str, float]:
    """By rule, the mean distance between two of its pictures."""
    by_rule = defaultdict(list)
    for picture in shown:
        by_rule[picture["rule"]].append(picture["pixels"].flatten())
    return {rule: float(torch.pdist(torch.stack(each)).mean()) for rule, each in by_rule.items()}


def without_pixels(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of a round is kept."""
    return [{key: value for key, value in picture.items() if key != "pixels"} for picture in shown]


def measured(hand: Hand, seed: int) -> dict[str, Any]:
    """Three rounds of one cell."""
    began = time.process_time()
    first = hand.show("", seed, PICTURES)
    picks = picked(first) + "more\n"
    second = hand.show(picks, seed, PICTURES // 2)
    rules = hand.show("", seed + BETWEEN, ALL_RULES)
    more = picks + picked(second)
    third = hand.show(more + "more\n", seed, PICTURES // 2)
    taken = hand.show(more + "take\n", seed, PICTURES)[0]["taken"]
    found = {"taken": taken, "spread": spread(second), "cpu": round(time.process_time() - began, 1)}
    for name, shown in (("first", first), ("second", second), ("rules", rules), ("third", third)):
        found[name] = without_pixels(shown)
    return found


def _work(_: int, cells: list[Cell]) -> None:
    from ..quality.run import Measure

    measure = Measure()
    import folder_paths  # the host's, which Measure has entered

    for cell in cells:
        path = path_of(cell)
        found = json.loads(path.read_text()) if path.exists() else {}
        if "alone" in found or not claim(RESULTS / "claims" / cell.path.stem):
            continue
        with tempfile.TemporaryDirectory() as temp:
            folder_paths.set_temp_directory(temp)
            hand, seed = Hand(cell, measure), seed_of(cell)
            found = {**(found or measured(hand, seed)), "alone": hand.alone(seed)}
        path.write_text(json.dumps(found, indent=1))
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} picks {path.stem} {found['cpu']} s\n")
        sys.stdout.flush()


def todo(pairs: tuple[Pair, ...], trainings: int) -> list[Cell]:
    """All cells of a set that can be measured, whole tables first."""
    every = [Cell(w, 1.0, t, p) for t in range(trainings) for p in pairs for w in WORLDS]
    return [cell for cell in every if trained(cell)]


def spawn(work: Callable[[int, list[Cell]], None]) -> None:
    """Have the cells that the command line names worked on by some processes of one thread each."""
    workers, pairs = int(sys.argv[1]), SETS[sys.argv[2]]
    trainings = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    mp.spawn(work, args=(todo(pairs, trainings),), nprocs=workers)


if __name__ == "__main__":
    spawn(_work)
