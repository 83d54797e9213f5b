"""MoLE (arXiv 2404.13628): gates that keep what each LoRA does alone on its own prompts.

L = sum_i [mean (v_gate(x_i, p_i) - v_i)^2 + alpha / N (-log prod_j q_j)]. The paper's own first term is a
CLIP loss on decoded pictures; this one is ZipLoRA's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...deltas import LowRank
from ...deltas.gates import EVEN, PICTURE, check_settings
from ...errors import KLoraError
from ..answers import Known, errors
from ..items import Model, drawn
from ..loop import Callback, Group, Keep, Loop, Pace, State
from ..weighted import Factors
from .balance import ALPHA
from .trained import Found, Strengths, TrainedGates


@dataclass(frozen=True)
class GateOptions:
    """``rate`` is how far a step can move a score, whatever the size of a layer; ``balance`` is alpha.

    ``pool`` and ``total`` are the gates', as in :mod:`klora_core.deltas.gates`; ``batch`` copies of each LoRA
    a step, ``at_once`` in one call of the model.
    """

    steps: int = 100
    rate: float = 0.05
    balance: float = ALPHA
    pool: str = PICTURE
    total: str = EVEN
    batch: int = 1
    seed: int = 0
    at_once: int = 1

    def __post_init__(self) -> None:
        check_settings(self.pool, self.total)


@dataclass(frozen=True, eq=False)
class LearnedGates:
    """Gates that were learned, and each step's loss."""

    gates: TrainedGates
    losses: tuple[float, ...]


def gates_to_learn(
    found: Found, count: int, options: GateOptions, strengths: Strengths = lambda slot, i: 1.0
) -> TrainedGates:
    """The gates of ``found`` as they begin: even. Raises KLoraError where no two LoRAs meet."""
    gates = TrainedGates(found, count, options.pool, options.total, strengths)
    if not gates.parameters:
        raise KLoraError(
            "the LoRAs share no layer, so there is nothing to weigh.", "Use LoRAs that share a layer"
        )
    return gates


def mole(
    gates: TrainedGates,
    each: Sequence[Known],
    model: Model,
    options: GateOptions,
    *,
    callback: Callback | None = None,
    state: State | None = None,
    keep: Keep | None = None,
) -> LearnedGates:
    """Gates that answer to each LoRA's own prompts, ``each``, what that one answers alone."""
    loop = Loop(_groups(gates), Pace(options.steps, options.rate))
    if state is not None:
        loop.resume(state)

    def terms(step: int) -> Iterator[Tensor]:
        for i, own in enumerate(each):
            numbers = drawn(options.batch, len(own.copies), options.seed + i, step)
            gates.forget()
            for error, share in errors(model, own, numbers, gates, options.at_once):
                yield error * share + gates.balance(share * options.balance / len(each))
                gates.forget()

    try:
        loop.run(terms, callback, keep=keep)
    finally:
        gates.forget()
    return LearnedGates(gates, tuple(loop.losses))


def alone_factors(found: Found, count: int, strengths: Strengths = lambda slot, i: 1.0) -> Factors:
    """The LoRAs as plain factors at their strengths, for what each answers alone and for plain sums."""
    with torch.inference_mode(False), torch.no_grad():
        slots = {
            slot: tuple(
                None if own is None else LowRank(own.up * (own.scale * strengths(slot, i)), own.down)
                for i, own in enumerate(each)
            )
            for slot, each in found.items()
        }
    return Factors(slots, count)


def _groups(gates: TrainedGates) -> list[Group]:
    """A score is a sum over all entries of e: one step of all moves it by the rate."""
    by_size: dict[int, list[Tensor]] = {}
    for tensor in gates.parameters:
        by_size.setdefault(len(tensor), []).append(tensor)
    return [Group(tuple(own), 1 / size) for size, own in by_size.items()]
