"""Writes bench/QUALITY.md from the measured cells: nothing in it is typed by hand but the words around the
numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..gate.gate import ABOVE, GATED, KEEPS, KEPT, SOUND
from ..model.sampling import STEPS
from ..pairs import HELD_OUT, PAIRS, TUNING, Pair
from ..places import REPO
from ..training.loras import NAMES, TRAININGS, WORLDS, Job
from .cells import PICTURES, STRENGTHS
from .stats import Estimate, Results, estimate, harmonic, style, subject
from .sweeps import CURVES

OUT = REPO / "bench" / "QUALITY.md"
RULE = "sum, capped at .4"
RIVALS = ("K-LoRA s", "K-LoRA s*", "NP-LoRA", "sum .5", "sum .7", "sum 1")
ORDER = (
    "base", "subject alone", "style alone", "sum .5", "sum .7", "sum 1", "K-LoRA s", "K-LoRA s*",
    "K-LoRA s, balance -.5", "K-LoRA s, balance +.5", "s by chance", "s shuffled", "s reversed",
    "s* by chance", "s* shuffled", "s* reversed", "half by chance",
    "K-LoRA s, energy", "K-LoRA s, loser outside", "K-LoRA s*, loser outside",
    "LoRA Switch", "LoRA Composite", "CMLoRA", "Arrow",
    "by hand: one, then the other", "by hand: style from half on", "NP-LoRA", "Magnitude prune",
    "TIES", "DARE", "DARE-TIES", "KnOTS", "LoRA-LEGO", RULE,
)  # fmt: skip
LEARNING = ("ZipLoRA", "calibrated", "MoLE gate", "taught by four picks")
BESIDE = ("sum .5", "sum 1", "K-LoRA s", "K-LoRA s*")
COMPARISONS = (
    ("K-LoRA s", "s by chance"),
    ("K-LoRA s", "s shuffled"),
    ("K-LoRA s", "s reversed"),
    ("K-LoRA s*", "s* by chance"),
    ("K-LoRA s*", "s* shuffled"),
    ("K-LoRA s*", "s* reversed"),
    ("K-LoRA s*", "K-LoRA s"),
    ("K-LoRA s", "sum .7"),
    ("K-LoRA s*", "sum .7"),
    ("K-LoRA s", "sum .5"),
    ("K-LoRA s, loser outside", "K-LoRA s"),
    ("K-LoRA s, loser outside", "sum 1"),
    ("K-LoRA s, loser outside", "NP-LoRA"),
    ("half by chance", "sum .5"),
    ("half by chance", "K-LoRA s*"),
    ("K-LoRA s*", "K-LoRA s*, loser outside"),
    ("K-LoRA s*", "NP-LoRA"),
    ("K-LoRA s*", "LoRA Switch"),
    ("K-LoRA s*", "LoRA Composite"),
)
INTRO = """# Quality: what fusion does in the small world

Made by `make quality` from kept weights. A small world: a model of 3.8 million parameters that draws 96 x
96 pictures after one artist's drawings, eight subjects and five styles that it was never shown together,
33 layers for a LoRA to change. It says how methods behave here. It is no verdict on SDXL or FLUX, and no
ranking of methods.

Scores are read off the picture by a judge that was validated on things it had never seen
(world/README.md): subject and style each from 0 to 1; **both** is the harmonic mean of the two in each
picture, averaged. {pictures} pictures a pair, the same noise for every method, prompt: both triggers. 40
pairs, 20 of them for tuning. Trainings of all LoRAs (other pictures, other starts) at strength 1:
{trainings}, on one base model; ± is the standard error over them, missing where there is one, which then says
nothing about luck. Euler, {steps} steps, guidance 2.5, in ComfyUI's own sampler, through the pack's own nodes
at their default settings; sums by core's LoRA loader, which Linear and SVD at full rank equal. B-LoRA is
missing: it needs SDXL's two blocks.

Split, seeds, judge, gate and the trainings' recipe were fixed before any of these rows was run; the
methods' settings are those of the nodes.

Redundant LoRAs are trained towards K-LoRA's premise, that a random half of their layers is enough (the
gate tells how far they got); plain ones are not. Controls: *by chance* takes as many style layers in each
step, drawn anew; *shuffled* deals the scores to other layers; *reversed* runs the decisions backwards;
*half by chance* gives each LoRA a random half in each step. By hand (As scheduled): *one, then the other*
is the subject in the first half of the run and the style in the second; *style from half on* keeps the
subject throughout.

How the order of methods depends on this base model is not known: no second world was trained.
"""


def _gate() -> Iterator[str]:
    kept = json.loads(KEPT.read_text())
    yield "## The gate\n"
    yield f"Sound: own score {SOUND} or more. Redundant: a random half of the slots keeps {KEEPS:.0%} of it."
    yield "Score with all slots, share kept by a random half, a training each.\n"
    yield "| LoRA | " + " | ".join(f"{w}: own score | keeps | passes" for w in WORLDS) + " |"
    yield "|---|" + "---|" * (3 * len(WORLDS))
    for name in NAMES:
        parts = [name]
        for world in WORLDS:
            jobs = (Job(world, name, training).title for training in range(TRAININGS))
            own = [kept[title] for title in jobs if title in kept]
            parts.append(", ".join(f"{r['full']:.2f}" for r in own))
            parts.append(", ".join(f"{r['half'] / max(r['full'], 1e-9):.2f}" for r in own))
            parts.append(f"{sum(r['sound'] and r['redundant'] for r in own)} of {len(own)}")
        yield "| " + " | ".join(parts) + " |"
    yield ""


def _main_table(strength: float) -> Iterator[str]:
    results = {w: Results(w, strength) for w in WORLDS}
    counts = {len(r.trainings) for r in results.values()}
    yield f"## All pairs, strength {strength:g}: {' or '.join(map(str, sorted(counts)))} trainings\n"
    yield "| | " + " | ".join(f"{w}: subject | style | **both** | tuning | held out" for w in WORLDS) + " |"
    yield "|---|" + "---|" * (5 * len(WORLDS))
    for name in ORDER:
        if not all(r.has(name) for r in results.values()):
            continue
        parts = [name]
        for r in results.values():
            parts += [
                str(r.value(name, subject)),
                str(r.value(name, style)),
                f"**{r.value(name, harmonic)}**",
            ]
            parts += [
                str(Estimate(r.value(name, harmonic, pairs).mean, np.nan)) for pairs in (TUNING, HELD_OUT)
            ]
        yield "| " + " | ".join(parts) + " |"
    yield ""


def _differences(strength: float) -> Iterator[str]:
    results = {w: Results(w, strength) for w in WORLDS}
    yield f"## Paired differences of both, strength {strength:g}\n"
    yield "Mean over pairs and trainings, its error over trainings, and how many of the cells (pair and"
    yield "training) are ahead. Bold: more than two standard errors.\n"
    yield "| | " + " | ".join(WORLDS) + " |"
    yield "|---|" + "---|" * len(WORLDS)
    for row, other in COMPARISONS:
        if not all(r.has(row) and r.has(other) for r in results.values()):
            continue
        yield (
            f"| {row} minus {other} | "
            + " | ".join(_difference(r, row, other) for r in results.values())
            + " |"
        )
    yield ""


def _difference(results: Results, row: str, other: str, pairs: Sequence[Pair] = PAIRS) -> str:
    found, ahead, count = results.difference(row, other, pairs)
    return f"{_marked(found)} ({ahead} of {count})"


def _marked(found: Estimate) -> str:
    """Bold where a difference is more than two standard errors."""
    sure = not np.isnan(found.error) and abs(found.mean) > 2 * found.error
    return f"**{found}**" if sure else str(found)


def _learned() -> Iterator[str]:
    """On the pairs for which these rows were run."""
    yield "## Rows that learn, strength 1, first training\n"
    yield "Train a Merge at its defaults; what each is shown, and what was expected, is written in"
    yield "`world/quality/run.py`. The last columns are differences of both; errors are over pairs here.\n"
    for world in WORLDS:
        first = Results(world, 1.0, 1).cells.items()
        cells = {pair: cell for (_, pair), cell in first if all(row in cell for row in LEARNING)}
        if not cells:
            continue
        tuning = sum(pair.tuning for pair in cells)
        yield f"{world.capitalize()} LoRAs, {tuning} tuning and {len(cells) - tuning} held-out pairs:\n"
        yield "| | subject | style | **both** | " + " | ".join(f"minus {row}" for row in BESIDE) + " |"
        yield "|---|" + "---|" * (3 + len(BESIDE))
        for row in (*BESIDE, *LEARNING):
            values = [estimate([of(c[row]) for c in cells.values()]) for of in (subject, style, harmonic)]
            others = [
                estimate([harmonic(c[row]) - harmonic(c[other]) for c in cells.values()]) for other in BESIDE
            ]
            yield f"| {row} | " + " | ".join([*map(str, values), *map(_marked, others)]) + " |"
        yield ""


RULE_TEXT = f"""## A rule of our own: it did not win

Sought: a sum that finds its own strength, ahead of K-LoRA, NP-LoRA and the best fixed sum by two standard
errors, in both worlds, at strengths 1 and 1.5. Tried on the tuning pairs of an earlier world of shapes: a
threshold at the scores' median, and at the share where both LoRAs keep equal energy; the loser outside the
winner's inputs; sums scaled to the larger or the mean of both norms, or brought to equal energy; the style
fading in; halves in turn; singular values clipped; and {RULE}: the plain sum, in no slot
larger than .4 of the base's own weight there (Frobenius norms; .33, .5 and a soft cap were tried too). The
cap held its score best at both strengths there, was chosen, and was not ahead of the best plain sum on that
world's held-out pairs. Here it is run once more, as it was, on the held-out pairs of this world:

Its joint score minus another's. Bold: more than two standard errors.
"""


def _rule() -> Iterator[str]:
    kept = {(w, s): Results(w, s) for w in WORLDS for s in STRENGTHS}
    if not all(r.has(name) for r in kept.values() for name in (RULE, *RIVALS)):
        return
    yield RULE_TEXT
    yield "| minus | " + " | ".join(f"{w}, strength {s:g}" for w, s in kept) + " |"
    yield "|---|" + "---|" * len(kept)
    for rival in RIVALS:
        cells = " | ".join(_difference(results, RULE, rival, HELD_OUT) for results in kept.values())
        yield f"| {rival} | {cells} |"
    yield ""
    yield "A LoRA of a large model changes its weights by far less than .4, so there this rule is the plain"
    yield "sum. It is no schedule of K-LoRA Fuse."
    yield ""


def _bounds(world: str) -> dict[Pair, dict[str, float]]:
    """What the gate measured of pairs: plain sums, and the bound."""
    kept = json.loads(KEPT.read_text())
    return {pair: kept[f"{world} {pair.name}"] for pair in GATED}


def _bound() -> Iterator[str]:
    yield "## How far a pair can go\n"
    yield "The bound: one number a column of the two LoRAs, learned from 16 true pictures of the pair, which"
    yield f"no method has. Of the {len(GATED)} pairs of the gate (WORLD_GATE.md), first training, strength 1:"
    yield "its mean, that of the best of six plain sums pair by pair in hindsight, and the best row of the"
    yield "table above on these pairs.\n"
    yield f"| | bound | best sum, pair by pair | best row | bound {ABOVE} above the best sum |"
    yield "|---|---|---|---|---|"
    for world in WORLDS:
        bounds, first = _bounds(world), Results(world, 1.0, 1)
        rows = {name: first.value(name, harmonic, GATED).mean for name in ORDER if first.has(name)}
        best = max(rows, key=rows.__getitem__)
        far = sum(row["bound"] >= row["best sum"] + ABOVE for row in bounds.values())
        yield (
            f"| {world} | {_mean(row['bound'] for row in bounds.values())} | "
            f"{_mean(row['best sum'] for row in bounds.values())} | "
            f"{best}: {_mean([rows[best]])} | on {far} of {len(GATED)} pairs |"
        )
    yield ""


def _mean(values: Iterable[float]) -> Estimate:
    return Estimate(float(np.mean(list(values))), np.nan)


def _pairs(world: str, rows: Sequence[str]) -> Iterator[str]:
    results, bounds = Results(world, 1.0), _bounds(world)
    yield f"## Per pair, {world} LoRAs, strength 1: both\n"
    yield "Washed out: alone on the joint prompt that LoRA scores below half of what is sound, whatever a"
    yield "method does. Bound: the gate's.\n"
    yield "| pair | set | " + " | ".join(rows) + " | bound | washed out |"
    yield "|---|---|" + "---|" * (len(rows) + 2)
    for pair in PAIRS:
        numbers = [str(results.value(row, harmonic, [pair])) for row in rows]
        where = "tuning" if pair.tuning else "held out"
        yield (
            f"| {pair.subject} in {pair.style} | {where} | "
            + " | ".join(numbers)
            + f" | {_mean([bounds[pair]['bound']]) if pair in bounds else ''} | {_washed(results, pair)} |"
        )
    yield ""


def _washed(results: Results, pair: Pair) -> str:
    kept = [
        estimate([of(results.cells[t, pair][row]) for t in results.trainings]).mean
        for row, of in (("subject alone", subject), ("style alone", style))
    ]
    lost = [name for name, value in zip((pair.subject, pair.style), kept, strict=True) if value < SOUND / 2]
    return ", ".join(lost)


def text() -> str:
    """The whole document."""
    counts = (f"{len(Results(world, 1.0).trainings)} of {world} ones" for world in WORLDS)
    trainings = ", ".join(counts)
    lines = [INTRO.format(pictures=PICTURES, trainings=trainings, steps=STEPS), *_gate()]
    for strength in STRENGTHS:
        lines += [*_main_table(strength), *_differences(strength)]
    lines += [*_learned(), *_bound(), *_rule()]
    for world in WORLDS:
        lines += _pairs(
            world, ("sum .5", "sum .7", "sum 1", "K-LoRA s", "K-LoRA s*", "s* by chance", "half by chance")
        )
    lines += ["![One training, the held-out pairs](quality.jpg)", ""]
    lines += [
        "## What each control does",
        "",
        "Tuning pairs alone, first training. K is varied by the same equations outside of the node.",
        "",
        *[f"![{name}](figures/quality-{name}.png)\n" for name in CURVES if name != "sum"],
    ]
    return "\n".join(lines)


def main() -> None:
    """Write it."""
    OUT.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{OUT.relative_to(REPO)}\n")


if __name__ == "__main__":
    main()
