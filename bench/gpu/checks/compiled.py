"""torch.compile of the model with and without Fuse: latents, graphs, step times. Needs the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

import comfy.model_management
import torch
import torch._dynamo
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_torch_compile import TorchCompileModel, skip_torch_compile_dict
from torch._dynamo.utils import counters

from ...host.contenders import fused, run
from ...host.models import build
from ...host.probes import Stopwatch
from ...tables import spread
from ..rows import FAILED, OK, SKIPPED, Row, same_latents
from . import cases

Compile = Callable[[Any], Any]
"""Model -> a clone of it that is compiled at its first evaluation."""


def inductor(rehearse: bool) -> Iterator[Row]:
    """Core's node as it stands in a new workflow."""
    return _rows(_node("eager" if rehearse else "inductor"), rehearse)


def cudagraphs(rehearse: bool) -> Iterator[Row]:
    """The other choice of core's node."""
    return _rows(_node("eager" if rehearse else "cudagraphs"), rehearse)


def reduce_overhead(rehearse: bool) -> Iterator[Row]:
    """What mode="reduce-overhead" sets, with the node's own filter of guards."""
    options = {"guard_filter_fn": skip_torch_compile_dict}

    def compile(model: Any) -> Any:
        clone = model.clone()
        graphs = {} if rehearse else {"triton.cudagraphs": True}
        backend = "eager" if rehearse else "inductor"
        set_torch_compile_wrapper(model=clone, backend=backend, options={**options, **graphs})
        return clone

    return _rows(compile, rehearse)


def _node(backend: str) -> Compile:
    return lambda model: TorchCompileModel.execute(model, backend).result[0]


@dataclass
class _Ran:
    """A model's two runs: latents, evaluations' seconds of the second, graphs made in each, first seconds."""

    latents: torch.Tensor
    again: torch.Tensor
    times: list[float]
    graphs: int
    more_graphs: int
    first: float


def _rows(compile: Compile, rehearse: bool) -> Iterator[Row]:
    case = cases.flux_shallow(rehearse)
    model = build(case)
    watch = Stopwatch(model)
    both = fused(model, *cases.pair(model, case))

    def ran(model: Any) -> _Ran:
        watch.times.clear()
        start = _graphs()
        latents = run(case, model, case.evaluations)
        middle, first = _graphs(), watch.times[0]
        watch.times.clear()
        again = run(case, model, case.evaluations)
        return _Ran(latents, again, [*watch.times], middle - start, _graphs() - middle, first)

    with _steady(rehearse):
        eager, eager_fused = ran(model), ran(both)
        effect = cases.relative(eager_fused.latents, eager.latents)
        torch._dynamo.reset()
        try:
            bare = ran(compile(model))
        except Exception as error:
            # Not ours: then there is nothing to compare with.
            yield Row("The bare model compiled", f"fails: {type(error).__name__}: {error}"[:200], "", SKIPPED)
            return
        yield _told("bare model", bare, eager)
        torch._dynamo.reset()
        ours = ran(compile(both))
    yield _told("K-LoRA Fuse", ours, eager_fused)
    noise = max(cases.relative(latents, eager.latents) for latents in (bare.latents, bare.again))
    for name, latents in (("first run", ours.latents), ("second run", ours.again)):
        distance = cases.relative(latents, eager_fused.latents)
        yield same_latents(f"Compiled latents against eager ones, {name}", distance, noise, effect)
    yield Row(
        "Graphs",
        f"{ours.graphs} with Fuse, {bare.graphs} without; {ours.more_graphs} more in the second run",
        "as many as without, no more later",
        OK if ours.graphs <= bare.graphs and ours.more_graphs == 0 else FAILED,
    )
    ratios = [a / b for a, b in zip(ours.times, bare.times, strict=True)]
    yield Row("Step time compiled, K-LoRA Fuse / bare model", spread(ratios))


def _told(name: str, ran: _Ran, eager: _Ran) -> Row:
    faster = median(eager.times) / median(ran.times)
    return Row(
        f"An evaluation compiled: {name}",
        f"{spread(ran.times, '.4f', ' s')}, {faster:.2f} times as fast as eager; the first {ran.first:.1f} s",
    )


def _graphs() -> int:
    return counters["stats"]["unique_graphs"]


def _steady(rehearse: bool) -> Any:
    # The host's attention on a CPU asks for the free memory: a guard that changes all the time.
    def free(dev: Any = None, torch_free_too: bool = False) -> Any:
        return (1 << 33, 1 << 33) if torch_free_too else 1 << 33

    own = comfy.model_management.get_free_memory
    return patch.object(comfy.model_management, "get_free_memory", free if rehearse else own)
