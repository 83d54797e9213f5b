"""What each composing method adds to an evaluation, against K-LoRA in the same rounds. Needs the host."""

from __future__ import annotations

from itertools import combinations
from time import process_time

import torch

from ..tables import SPREAD, Table, spread
from .clocks import on_ours
from .contenders import composed, run
from .models import Case, attention_layers, build, random_lora, shrunk
from .probes import Added, Stopwatch
from .steps import RANK

K_LORA, OUTSIDE, COMPOSITE = "K-LoRA", "K-LoRA, loser outside", "LoRA Composite"
METHODS = {
    K_LORA: "K-LoRA",
    OUTSIDE: {"method": "K-LoRA", "loser": "outside", "outside": 0.5},
    "LoRA Switch": "LoRA Switch",
    "B-LoRA": "B-LoRA",
    "As scheduled, both on": "As scheduled",
    COMPOSITE: "LoRA Composite",
}
ROUNDS, ROUNDS_OF_TWO = 2, 4


def measure(case: Case, only: str | None = None) -> list[Table]:
    """One table: every method of two LoRAs on one model, in turn; or ``only`` one, and K-LoRA."""
    methods = METHODS if only is None else {name: METHODS[name] for name in (K_LORA, only)}
    rounds = (ROUNDS if only is None else ROUNDS_OF_TWO) if case.rounds > 1 else 1
    model = build(case)
    watch = Stopwatch(model, process_time)
    loras = [random_lora(model.model, RANK, seed, case.dtype) for seed in (1, 2)]
    clocks = {
        name: Added(model, lambda m, chosen=chosen: composed(m, *loras, chosen), on_ours, process_time)
        for name, chosen in methods.items()
    }
    _check(case, clocks)
    times: dict[str, list[float]] = {name: [] for name in methods}
    names = list(methods)
    for turn in range(rounds):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            watch.times.clear()
            _run(case, clocks[name])
            times[name] += watch.times
    return [_table(case, clocks, times, len(attention_layers(model.model)), rounds)]


def _run(case: Case, clock: Added) -> torch.Tensor:
    return clock.run(lambda patched: run(case, patched, case.evaluations))


def _check(case: Case, clocks: dict[str, Added]) -> None:
    """Each method makes a picture of its own, and runs the model as often as it says."""
    small = shrunk(case)
    images = {name: _run(small, clock).float() for name, clock in clocks.items()}
    for a, b in combinations(images, 2):
        assert (images[a] - images[b]).norm() > 1e-3 * images[b].norm(), (a, b)
    for name, clock in clocks.items():
        assert set(clock.passes) == {2 if name == COMPOSITE else 1}, (name, clock.passes)
        clock.forget(case.evaluations)


def _table(
    case: Case, clocks: dict[str, Added], times: dict[str, list[float]], layers: int, rounds: int
) -> Table:
    added = {
        name: [sum(pair) for pair in zip(clock.before, clock.layers, strict=True)]
        for name, clock in clocks.items()
    }

    def ratio(figures: dict[str, list[float]], name: str) -> str:
        return spread([a / b for a, b in zip(figures[name], figures[K_LORA], strict=True)], ".2f")

    def row(name: str) -> tuple[str, ...]:
        return (
            name,
            str(clocks[name].passes[0]),
            ratio(added, name),
            ratio({n: clock.layers for n, clock in clocks.items()}, name),
            ratio({n: [t - a for t, a in zip(times[n], added[n], strict=True)] for n in times}, name),
            spread([1000 * seconds for seconds in added[name]], ".1f"),
            spread(times[name], ".2f"),
        )

    return Table(
        f"Composing methods: {case.title}",
        (
            "method, two LoRAs",
            "runs of the model",
            "added / K-LoRA's",
            "in the layers",
            "rest / K-LoRA's",
            "added, CPU ms",
            "CPU s an evaluation",
        ),
        tuple(map(row, clocks)),
        (
            f"{layers} attention layers, LoRAs of rank {RANK} on all of them, defaults of the node but for "
            f"`outside` 0.5; {SPREAD} of {rounds} rounds, in each of which every method makes a run of "
            f"{case.evaluations} evaluation(s), each round from the next method on. Ratios within a round. "
            "CPU time of all threads, which whatever else runs changes less than a clock's.",
            "Added: by clocks around the model call (progress, hooks, filling the buffers, which the first "
            "evaluation of a run pays for) and around what a method computes in the layers; in the layers: "
            "the second of them alone. Rest: the evaluation without what was added.",
            "Aims: Switch and B-LoRA at most K-LoRA's; Composite's rest twice K-LoRA's, with two LoRAs, and "
            "nothing else; the loser outside, and two that are on at once, twice K-LoRA's added time.",
        ),
    )
