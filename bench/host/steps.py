"""Step times of the contenders on one model, and what a method adds to an evaluation. Needs the host."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median

import torch

from ..tables import SPREAD, Table, spread
from .clocks import on_bypass, on_literal, on_ours
from .contenders import BAKED, BARE, BYPASS_ONE, LITERAL, OURS, bypass, contenders, fused, literal, run
from .models import Case, attention_layers, build, random_lora, shrunk
from .probes import Added, Stopwatch

RANK = 16
IMAGE_STEPS = 30
_MIB = 1 << 20


def measure(case: Case) -> list[Table]:
    """The tables of one case."""
    return Bench(case).tables()


class Bench:
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
            BYPASS_ONE: Added(model, lambda m: bypass(m, self.loras[0]), on_bypass),
            OURS: Added(model, lambda m: fused(m, *self.loras), on_ours),
            LITERAL: Added(model, lambda m: literal(case, m, *self.loras, case.evaluations), on_literal),
        }
        self.names = [*self.models, *self.clocks]
        self.times: dict[str, list[float]] = {name: [] for name in self.names}
        self.peaks: dict[str, float] = {}
        self.last = BAKED

    def tables(self) -> list[Table]:
        """Check the contenders, run the rounds, and say what came out."""
        self._check()
        for turn in range(self.case.rounds):
            self.round(turn)
        return [self._step_times(), self._added()] if self.on_cpu else [self._step_times()]

    def round(self, turn: int) -> None:
        """Time each contender; the published algorithm in the first round alone."""
        at = turn % len(self.names)
        for name in self.names[at:] + self.names[:at]:
            if name != LITERAL or turn == 0:
                self._time(name)

    def run(self, name: str, case: Case, evaluations: int) -> torch.Tensor:
        """One sampler run of a contender."""
        if name in self.models:
            return run(case, self.models[name], evaluations)
        clock = self.clocks[name]
        if not self.on_cpu:
            # The clocks would see kernels launched, not done.
            return run(case, clock.patched, evaluations)
        return clock.run(lambda patched: run(case, patched, evaluations))

    def images(self, names: Sequence[str] = ()) -> dict[str, torch.Tensor]:
        """What the contenders, or those named, make on a small latent."""
        small = shrunk(self.case)
        images = {n: self.run(n, small, self.case.evaluations).float() for n in names or self.names}
        for name in images.keys() & self.clocks.keys():
            self.clocks[name].forget(self.case.evaluations)
        return images

    def ratios(self, name: str, to: str) -> list[float]:
        """Times of one contender over another's, evaluation by evaluation."""
        return [a / b for a, b in zip(self.times[name], self.times[to], strict=False)]

    def _check(self) -> None:
        """All do what their names say: images agree or differ as they must."""
        images = self.images()

        def apart(a: str, b: str) -> float:
            return float((images[a] - images[b]).norm() / images[b].norm())

        precise = 1e-3 if self.case.dtype.itemsize == 4 else 0.1
        assert apart(OURS, LITERAL) < precise, apart(OURS, LITERAL)
        assert all(apart(a, b) > 1e-2 for a, b in combinations((BARE, BAKED, BYPASS_ONE, OURS), 2))

    def _time(self, name: str) -> None:
        if BAKED in (name, self.last):
            # Weights came or went with their memory, and the next evaluation pays for new pages.
            self.run(name, self.case, self.case.evaluations)
            if name in self.clocks:
                self.clocks[name].forget(self.case.evaluations)
        self.last = name
        self.watch.times.clear()
        if not self.on_cpu:
            torch.cuda.reset_peak_memory_stats()
        self.run(name, self.case, self.case.evaluations)
        self.times[name] += self.watch.times
        if not self.on_cpu:
            self.peaks[name] = torch.cuda.max_memory_allocated() / _MIB

    def _step_times(self) -> Table:
        head = ("contender", "/ baked", "/ bypass, one LoRA", "s an evaluation")
        if not self.on_cpu:
            head += ("peak above bare, MiB",)

        def row(name: str) -> tuple[str, ...]:
            ratios = spread(self.ratios(name, BAKED)), spread(self.ratios(name, BYPASS_ONE))
            cells = name, *ratios, spread(self.times[name], ".3f")
            return cells if self.on_cpu else (*cells, f"{self.peaks[name] - self.peaks[BARE]:.0f}")

        case, factors = self.case, sum(t.nbytes for lora in self.loras for t in lora.values()) / _MIB
        return Table(
            f"Step time: {case.title}",
            head,
            tuple(map(row, self.names)),
            (
                f"{len(self.layers)} attention layers, two LoRAs of rank {RANK} on all of them "
                f"({factors:.1f} MiB of factors together); random weights; cfg {case.cfg:g}; Euler.",
                f"{SPREAD}. Rounds: {case.rounds}; in each of them every contender makes a run of "
                f"{case.evaluations} evaluation(s), the published algorithm in the first round alone. Ratios "
                "are taken within a round. A run that follows a change of weights (baked LoRAs come or go) "
                "is made twice and only the second counts: the first pays for new memory pages. The "
                "evaluation in which our hooks go on and all buffers are filled counts like the others.",
                f"Aims: {OURS} within 1.05 of baked and at most 1.00 of bypass with one LoRA.",
            ),
        )

    def _added(self) -> Table:
        """What an evaluation costs more, by clocks inside it."""
        added = {
            name: [sum(pair) for pair in zip(clock.before, clock.layers, strict=True)]
            for name, clock in self.clocks.items()
        }
        image = {name: IMAGE_STEPS * median(clock.layers) for name, clock in self.clocks.items()}
        ours = self.clocks[OURS]
        ours.before.clear()
        # What lies before the layers does not depend on the latent: a whole run on a small one.
        self.run(OURS, shrunk(self.case), IMAGE_STEPS)
        image[OURS] += sum(ours.before)

        def row(name: str) -> tuple[str, ...]:
            shares = [100 * a / (t - a) for a, t in zip(added[name], self.times[name], strict=True)]
            ratio = f"{image[name] / image[OURS]:.1f}"
            return name, ratio, spread(shares, ".2f", " %"), _ms(added[name]), f"{image[name]:.2f}"

        return Table(
            f"Time added to an evaluation: {self.case.title}",
            ("contender", "an image / ours", "of the rest", "ms an evaluation", "s an image"),
            tuple(map(row, self.clocks)),
            (
                f"{SPREAD}, by clocks around what a method computes in a layer and around the model call, in "
                "the runs of the table above. `Of the rest`: added time against the rest of the same "
                "evaluation, a finer answer to `within 5 %` than a ratio of two evaluations, since the bare "
                "model's differ too.",
                f"An image: {IMAGE_STEPS} times the median in the layers, and for ours the work before them "
                f"(progress, hooks, switches) of a run of {IMAGE_STEPS} steps on a small latent: "
                f"{_ms(ours.before[:1])} ms in the first step, {_ms([sum(ours.before[1:])])} ms in all the "
                "others together. Scoring is not in it: it happens once for a pair.",
                "Aims: the published algorithm adds at least 50 times ours to an image.",
            ),
        )


def _ms(seconds: Sequence[float]) -> str:
    return spread([1000 * s for s in seconds], ".1f")
