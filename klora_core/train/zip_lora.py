"""ZipLoRA (arXiv 2311.13600): columns m_i with which the LoRAs keep what they do alone and do not overlap.

L = sum_i mean (v_m(x_i, p_i) - v_i)^2 + lambda sum_l sum_{i<j} mean_k |m_i[k] m_j[k]|
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from ..names import Slot
from .answers import Known, errors
from .items import Model, drawn
from .loop import Callback, Group, Keep, Loop, Pace, State
from .taught import Learned
from .weighted import Coefficients, Factors, Weighted, learned, parameters


@dataclass(frozen=True)
class ZipOptions:
    """The paper's, with a rate at which m moves: at a public re-implementation's the sum stays as it is.

    ``batch`` copies of each LoRA a step, ``at_once`` in one call of the model.
    """

    steps: int = 100
    rate: float = 0.01
    overlap: float = 0.01
    batch: int = 1
    seed: int = 0
    at_once: int = 1


def zip_lora(
    factors: Factors,
    each: Sequence[Known],
    model: Model,
    options: ZipOptions | None = None,
    *,
    callback: Callback | None = None,
    state: State | None = None,
    keep: Keep | None = None,
) -> Learned:
    """One LoRA of N whose answers to each one's own prompts, ``each``, are what that one answers alone.

    The strengths are in ``factors``. It ends early where no two columns overlap any more.
    """
    options = ZipOptions() if options is None else options
    columns = learned(factors, lambda slot, i: 1.0, "columns")
    weighted, meeting = Weighted(factors, columns), shared(factors)
    loop = Loop([Group(parameters(columns))], Pace(options.steps, options.rate, falls=False))
    if state is not None:
        loop.resume(state)

    def terms(step: int) -> Iterator[Tensor]:
        for i, own in enumerate(each):
            numbers = drawn(options.batch, len(own.copies), options.seed + i, step)
            for error, share in errors(model, own, numbers, weighted, options.at_once):
                yield error * share
        if options.overlap and meeting:
            yield options.overlap * overlap(columns, meeting)

    def apart() -> bool:
        return bool(meeting) and not float(overlap(columns, meeting).detach())

    loop.run(terms, callback, stop=apart, keep=keep)
    return Learned(weighted.folded(), weighted, tuple(loop.losses))


def overlap(columns: Coefficients, slots: Sequence[Slot]) -> Tensor:
    """sum_l sum_{i<j} mean_k |m_i[k] m_j[k]|."""
    terms = [
        (one * other).abs().mean()
        for slot in slots
        for one, other in combinations([m for m in columns[slot] if isinstance(m, Tensor)], 2)
    ]
    return torch.stack(terms).sum()


def shared(factors: Factors) -> tuple[Slot, ...]:
    """The slots that two LoRAs at least change: elsewhere nothing can overlap."""
    return tuple(slot for slot, found in factors.slots.items() if sum(own is not None for own in found) > 1)
