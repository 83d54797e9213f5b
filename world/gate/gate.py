"""The gate of the drawn world, written down before any LoRA was trained on it.

    python -m world.gate.gate LORAS | PAIRS      prints and keeps the tables in gate.json

LORAS. SOUND: with its own prompt and all slots a LoRA scores .8 or more. REDUNDANT: with a random half of its
slots (16 of 33, eight draws) it keeps 90 % of that.
PAIRS. 4 subjects in 4 styles, both kinds of LoRAs, one training, 8 pictures a row of one noise: plain sums at
.4 .5 .6 .7 .85 1 and the bound (`bound.py`). Passed where the bound lies .15 above the best sum on half of
the pairs or more; else nothing can be measured in this world.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from safetensors.torch import load_file

from klora_core import toy as words

from ..draw.concepts import SUBJECTS
from ..draw.drawings import names
from ..draw.styles import HELD_OUT_STYLES
from ..judging.judge import Judge
from ..model.lora import SLOTS, Factors, added, read_diffusers_file
from ..model.sampling import first_noise, sample
from ..pairs import PAIRS, TRIGGERS, Pair
from ..places import REPO, WORK
from ..training.base import load_base
from ..training.loras import WORLDS, Job, jobs
from .bound import learned

SOUND, KEEPS, DRAWS, FULL, HALF = 0.8, 0.9, 8, 16, 4
SUMS = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
ABOVE = 0.15
PICTURES = 8
GATED: tuple[Pair, ...] = tuple(
    p for p in PAIRS if p.subject in tuple(SUBJECTS)[:4] and p.style in tuple(HELD_OUT_STYLES)[:4]
)
KEPT = WORK / "gate.json"
OUT = REPO / "bench" / "WORLD_GATE.md"


def own_prompts(name: str) -> list[str]:
    """Prompts like those of the training; a style's are sixteen concepts that it was not shown."""
    if name in SUBJECTS:
        return [f"flat {TRIGGERS[name]}"]
    rng = np.random.default_rng((90, *name.encode()))
    return [
        words.caption(TRIGGERS[name], str(concept)) for concept in rng.choice(names(), FULL, replace=False)
    ]


class Gate:
    """The base, the judge, and what is measured with them."""

    def __init__(self) -> None:
        self.base, self.judge = load_base(), Judge()

    def factors(self, job: Job) -> Factors:
        """A trained LoRA."""
        return read_diffusers_file(load_file(job.path()))

    def latents(
        self, loras: tuple[Factors, ...], strength: float, prompts: list[str], seed: int, count: int
    ) -> torch.Tensor:
        """[count, 16, 12, 12] with the LoRAs added to the weights; one prompt after another."""
        for lora in loras:
            added(self.base, lora, strength)
        noise = first_noise(seed, count)
        size = count if len(prompts) == 1 else 1
        made = [
            sample(self.base, prompts[i % len(prompts)], noise[i : i + size]) for i in range(0, count, size)
        ]
        for lora in loras:
            added(self.base, lora, -strength)
        return torch.cat(made)

    def own(self, job: Job, kept: set[int] | None, count: int, seed: int) -> float:
        """Mean own score over pictures from the LoRA's own prompts."""
        factors = {i: f for i, f in self.factors(job).items() if kept is None or i in kept}
        drawn = self.judge.pictures(self.latents((factors,), 1.0, own_prompts(job.name), seed, count))
        score = self.judge.subject if job.name in SUBJECTS else self.judge.style
        return float(score(drawn, job.name).mean())

    def lora(self, job: Job) -> dict[str, object]:
        """One line of the LoRAs' table."""
        full = self.own(job, None, FULL, 500)
        rng = np.random.default_rng(11)
        halves = [set(rng.choice(len(SLOTS), len(SLOTS) // 2, replace=False).tolist()) for _ in range(DRAWS)]
        half = float(np.mean([self.own(job, kept, HALF, 600 + i) for i, kept in enumerate(halves)]))
        return {"full": full, "half": half, "sound": full >= SOUND, "redundant": half >= KEEPS * full}

    def pair(self, world: str, pair: Pair) -> dict[str, float]:
        """Joint scores of the sums and of the bound, and the bound's subject and style."""
        loras = tuple(self.factors(Job(world, name, 0)) for name in (pair.subject, pair.style))
        seed = 40 + PAIRS.index(pair)
        row: dict[str, float] = {}

        def both(loras: tuple[Factors, ...], strength: float) -> float:
            made = self.latents(loras, strength, [pair.prompt], seed, PICTURES)
            verdict = self.judge(self.judge.pictures(made), pair.subject, pair.style)
            row.update(subject=float(verdict.subject.mean()), style=float(verdict.style.mean()))
            return float(verdict.both.mean())

        sums = {f"{strength:g}": both(loras, strength) for strength in SUMS}
        best = max(sums, key=sums.__getitem__)
        bound = both(learned(load_base(), loras, pair, float(best)), 1.0)
        return {**sums, "best sum": sums[best], "bound": bound, **row}


def markdown(kept: dict[str, dict]) -> str:
    """Both tables and the verdict, for bench/WORLD_GATE.md."""
    loras = [
        f"| {key} | {row['full']:.2f} | {row['half']:.2f} | {'yes' if row['sound'] else 'no'} | "
        f"{'yes' if row['redundant'] else 'no'} |"
        for key, row in ((job.title, kept[job.title]) for job in jobs(1) if job.title in kept)
    ]
    pairs = []
    for key, row in kept.items():
        if "bound" in row:
            sums = " | ".join(f"{row[str(strength)]:.2f}" for strength in map("{:g}".format, SUMS))
            pairs.append(f"| {key} | {sums} | **{row['bound']:.2f}** |")
    told = [f"- {world}: {above(kept, world)}" for world in WORLDS]
    return "\n".join(
        [
            "# The gate of the small world\n",
            f"By `python -m world.gate.gate`, whose head is the protocol; {PICTURES} pictures a row.\n",
            "| LoRA | own score | random half | sound | redundant |\n|---|---|---|---|---|",
            *loras,
            "",
            "| pair | "
            + " | ".join(f"sum {s:g}" for s in SUMS)
            + " | bound |\n"
            + "|---" * (len(SUMS) + 2)
            + "|",
            *pairs,
            "",
            *told,
            "",
        ]
    )


def above(kept: dict[str, dict], world: str) -> str:
    """On how many pairs the bound lies far enough above the best sum."""
    pairs = [kept[key] for p in GATED if (key := f"{world} {p.name}") in kept]
    far = sum(row["bound"] >= row["best sum"] + ABOVE for row in pairs)
    return f"the bound lies {ABOVE} above the best sum on {far} of {len(pairs)} pairs"


def main() -> None:
    """Measure what has not been measured; print the lines, write the tables."""
    torch.set_num_threads(1)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    gate = Gate()
    lines = (
        [(j.title, lambda j=j: gate.lora(j)) for j in jobs() if j.path().exists()]
        if "LORAS" in sys.argv
        else [(f"{w} {p.name}", lambda w=w, p=p: gate.pair(w, p)) for w in WORLDS for p in GATED]
    )
    for key, measure in lines:
        if key not in kept:
            kept[key] = measure()
            KEPT.write_text(json.dumps(kept, indent=1))
            sys.stdout.write(f"{key}: { {k: round(v, 2) for k, v in kept[key].items()} }\n")
            sys.stdout.flush()
    OUT.write_text(markdown(kept))
    sys.stdout.write("".join(f"{world}: {above(kept, world)}\n" for world in WORLDS))


if __name__ == "__main__":
    main()
