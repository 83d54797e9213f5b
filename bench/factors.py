"""Adding LoKr and LoHa to a layer in their own factors, against the same multiplied out. Needs no host."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from klora_core.apply.additions import addition
from klora_core.deltas import Delta, Dense

from . import slots
from .tables import SPREAD, Table, spread

_HEAD = ("kind, layer, tokens", "dense / ours", "ours, ms", "dense, ms", "MiB", "dense, MiB")
_CASES = ((640, 640, 1024), (1280, 1280, 256), (1280, 1280, 1024), (1280, 2048, 77))
_RANK = 8
_ROUNDS = 15
_MIB = 1 << 20


def table() -> Table:
    """SDXL's attention layers at the tokens that they see."""
    rows = []
    for kind, make in (("LoKr", slots.lokr), ("LoHa", slots.loha)):
        for out, n, tokens in _CASES:
            rng = torch.Generator().manual_seed(0)
            delta = make(lambda m, n, rng=rng: torch.randn(m, n, generator=rng), out, n, _RANK)
            rows.append((f"{kind}, {out} x {n}, {tokens}", *_figures(delta, tokens)))
    return Table(
        "Adding LoKr and LoHa to SDXL's attention layers on the CPU",
        _HEAD,
        tuple(rows),
        (
            "y += dW x, in the factors of the file (W1 of 16 x 16 and W2 a product of rank 8; two products "
            f"of rank 8) and with dW multiplied out before. Ratio: {SPREAD} of {_ROUNDS} interleaved rounds; "
            "CPU time on one thread, float32.",
            "Tokens: those of 512 x 512, of 1024 x 1024, and of a text.",
        ),
    )


def _figures(delta: Delta, tokens: int) -> tuple[str, ...]:
    out, n = delta.shape
    layer, dense = nn.Linear(n, out), Dense(delta.dense(), n)
    x, output = torch.randn(tokens, n), torch.zeros(tokens, out)
    ours, theirs = ([] for _ in range(2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            adds = [addition(layer, each, None) for each in (delta, dense)]
            for _ in range(_ROUNDS):
                for add, times in zip(adds, (ours, theirs), strict=True):
                    times.append(_timed(lambda add=add: add(layer, x, output)))
    finally:
        torch.set_num_threads(threads)
    ratios = spread([b / a for a, b in zip(ours, theirs, strict=True)], ".1f")
    sizes = [f"{sum(t.nbytes for t in each.tensors) / _MIB:.2f}" for each in (delta, dense)]
    return ratios, *(f"{sorted(times)[_ROUNDS // 2] * 1e3:.2f}" for times in (ours, theirs)), *sizes


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
