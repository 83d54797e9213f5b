"""Step times of the contenders on one model, and what a method adds to an evaluation. Needs the host."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import torch

from .contenders import (
    BAKED,
    BARE,
    BYPASS_ONE,
    BYPASS_TWO,
    LITERAL,
    OURS,
    contenders,
    fused,
    literal,
    run,
)
from .models import Case, attention_layers, build, random_lora, shrunk
from .probes import Added, Stopwatch, Times
from .tables import SPREAD, Table, spread

RANK = 16
IMAGE_STEPS = 30
_MIB = 1 << 20


def measure(case: Case) -> list[Table]:
    """The tables of one case."""
    return _Bench(case).tables()


class _Bench:
    """One model, the contenders on it, and their times so far."""

    def __init__(self, case: Case) -> None:
        self.case = case
        model = build(case)
        self.on_cpu = model.load_device.type == "cpu"
        self.watch = Stopwatch(model)
        self.layers = attention_layers(model.model)
        self.loras = tuple(random_lora(model.model, RANK, seed, case.dtype) for seed in (1, 2))
        self.models = contenders(case, model, *self.loras)
        self.clocks = {
            OURS: Added(self.layers, model, lambda m: fused(m, *self.loras)),
            LITERAL: Added(self.layers, model, lambda m: literal(case, m, *self.loras, case.evaluations)),
        }
        self.names = [*self.models, *self.clocks]
        self.times: dict[str, list[Times]] = {name: [] for name in self.names}
        self.peaks: dict[str, float] = {}

    def tables(self) -> list[Table]:
        """Check the contenders, run the rounds, and say what came out."""
        self._check()
        for turn in range(self.case.rounds):
            at = turn % len(self.names)
            for name in self.names[at:] + self.names[:at]:
                if name != LITERAL or turn == 0:
                    self._time(name)
        return [self._step_times(), self._added()] if self.on_cpu else [self._step_times()]

    def run(self, name: str, case: Case, evaluations: int) -> torch.Tensor:
        """One sampler run of a contender."""
        if name in self.models:
            return run(case, self.models[name], evaluations)
        clock = self.clocks[name]
        if not self.on_cpu:
            # The clocks would see kernels launched, not done.
            return run(case, clock.patched, evaluations)
        return clock.run(lambda patched: run(case, patched, evaluations))

    def _check(self) -> None:
        """All do what their names say: on a small latent images agree or differ as they must."""
        small = shrunk(self.case)
        images = {name: self.run(name, small, self.case.evaluations).float() for name in self.names}

        def apart(a: str, b: str) -> float:
            return float((images[a] - images[b]).norm() / images[b].norm())

        precise = 1e-3 if self.case.dtype.itemsize == 4 else 0.1
        assert apart(BYPASS_TWO, BAKED) < precise, apart(BYPASS_TWO, BAKED)
        assert apart(OURS, LITERAL) < precise, apart(OURS, LITERAL)
        assert apart(BAKED, BARE) > 1e-2 and apart(OURS, BARE) > 1e-2 and apart(OURS, BAKED) > 1e-2
        for clock in self.clocks.values():
            clock.before.clear()
            clock.layers.clear()

    def _time(self, name: str) -> None:
        self.watch.times.clear()
        if not self.on_cpu:
            torch.cuda.reset_peak_memory_stats()
        self.run(name, self.case, self.case.evaluations)
        self.times[name] += self.watch.times
        if not self.on_cpu:
            self.peaks[name] = torch.cuda.max_memory_allocated() / _MIB

    def _ratio(self, name: str, to: str, clock: int) -> str:
        pairs = zip(self.times[name], self.times[to], strict=False)
        return spread([mine[clock] / theirs[clock] for mine, theirs in pairs])

    def _step_times(self) -> Table:
        head = ["contender", "/ baked", "/ bypass, one LoRA", "s an evaluation"]
        head.insert(2, "CPU time / baked") if self.on_cpu else head.append("peak above bare, MiB")

        def row(name: str) -> tuple[str, ...]:
            wall = spread([seconds for seconds, _ in self.times[name]], ".3f")
            against = self._ratio(name, BAKED, 0), self._ratio(name, BYPASS_ONE, 0)
            if self.on_cpu:
                return name, against[0], self._ratio(name, BAKED, 1), against[1], wall
            return name, *against, wall, f"{self.peaks[name] - self.peaks[BARE]:.0f}"

        case, factors = self.case, sum(t.nbytes for lora in self.loras for t in lora.values()) / _MIB
        return Table(
            f"Step time: {case.title}",
            tuple(head),
            tuple(map(row, self.names)),
            (
                f"{len(self.layers)} attention layers, two LoRAs of rank {RANK} on all of them "
                f"({factors:.1f} MiB of factors together); random weights; cfg {case.cfg:g}; Euler.",
                f"{SPREAD}. Rounds: {case.rounds}; in each of them every contender makes a run of "
                f"{case.evaluations} evaluation(s), the published algorithm in the first round alone. Ratios "
                "are taken within a round. The first evaluation of a run, in which our hooks go on and all "
                "buffers are filled, counts like the others.",
                f"Aims: {OURS} within 1.05 of baked and at most 1.00 of bypass with one LoRA.",
                "Core's second bypass loader replaces the first, so two are nested by hand here.",
            ),
        )

    def _added(self) -> Table:
        """What an evaluation costs more, by clocks inside it."""
        layers = {name: list(clock.layers) for name, clock in self.clocks.items()}
        shares = {name: self._shares(name) for name in layers}
        ours = self.clocks[OURS]
        ours.before.clear()
        # What lies before the layers does not depend on the latent: a whole run on a small one.
        self.run(OURS, shrunk(self.case), IMAGE_STEPS)
        image = {name: [IMAGE_STEPS * median(t[i] for t in layers[name]) for i in (0, 1)] for name in layers}
        image[OURS] = [image[OURS][i] + sum(t[i] for t in ours.before) for i in (0, 1)]
        later = [t for t, _ in ours.before[1:]]
        return Table(
            f"Time added to an evaluation: {self.case.title}",
            ("where", "published / ours", "in CPU time", f"{OURS}, ms", "as published, ms"),
            (
                _row("in the layers", layers[OURS], layers[LITERAL]),
                ("against the rest of the evaluation", "-", "-", shares[OURS], shares[LITERAL]),
                _row(f"an image of {IMAGE_STEPS} steps", [tuple(image[OURS])], [tuple(image[LITERAL])]),
                ("of it before the layers, first step", "-", "-", f"{1000 * ours.before[0][0]:.1f}", "-"),
                ("of it before the layers, other steps", "-", "-", f"{1000 * sum(later):.1f}", "-"),
            ),
            (
                f"{SPREAD}, by clocks around each layer's hook and around the model call in the runs of the "
                "table above. Added time against the rest of the same evaluation is the most exact answer to "
                "`within 5 %`: the bare model's evaluations alone differ by more.",
                f"Before the layers: progress, hooks, switches; from a run of {IMAGE_STEPS} steps on a small "
                "latent, since they do not depend on its size. Scoring is not in it: it happens once for a "
                "pair. Aim: 50 for an image.",
            ),
        )

    def _shares(self, name: str) -> str:
        """Added time against the rest of the same evaluation: what else the machine does hits both."""
        clock = self.clocks[name]
        added = [t + before for (t, _), (before, _) in zip(clock.layers, clock.before, strict=True)]
        shares = [a / (t - a) for a, (t, _) in zip(added, self.times[name], strict=True)]
        return spread([100 * share for share in shares], ".2f", " %")


def _row(what: str, ours: Sequence[Times], theirs: Sequence[Times]) -> tuple[str, ...]:
    wall, busy = (f"{median(t[i] for t in theirs) / median(t[i] for t in ours):.1f}" for i in (0, 1))
    return what, wall, busy, *(spread([1000 * t for t, _ in times], ".1f") for times in (ours, theirs))
