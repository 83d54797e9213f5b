"""The methods by which a new LoRA can be trained, with what their papers set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import smora, unzip
from .beams import BeamLora
from .coto import CoTo
from .halves import UnZip
from .training import Method, Plain, Plan, Sizes

Make = Callable[[Sizes, Plan, Any], Method]
"""(sizes of the slots, plan, (prompts of content and style, whether blocks have owners)) -> a training."""


@dataclass(frozen=True)
class TrainMethod:
    """A method by its ``label``: defaults, how many LoRAs it makes, and which layers it may train.

    ``falls``: the rate falls to 0 over the training; ``attention``: it trains attention layers alone;
    ``by_input``: what it makes works by what the picture is, and is no ordinary LoRA.
    """

    label: str
    paper: str
    make: Make
    steps: int = 500
    rank: int = 16
    rate: float = 1e-4
    falls: bool = True
    attention: bool = False
    by_input: bool = False
    halves: tuple[str, ...] = ()


METHODS = (
    TrainMethod("plain", "LoRA, arXiv 2106.09685", lambda sizes, plan, _: Plain(sizes, plan)),
    TrainMethod("CoTo", "CoTo, arXiv 2506.05713", lambda sizes, plan, _: CoTo(sizes, plan)),
    TrainMethod("BeamLoRA", "BeamLoRA, arXiv 2502.13604", lambda sizes, plan, _: BeamLora(sizes, plan)),
    TrainMethod(
        "SMoRA",
        "SMoRA, arXiv 2501.15103",
        lambda sizes, plan, _: smora.Smora(sizes, plan),
        rank=smora.RANK,
        by_input=True,
    ),
    TrainMethod(
        "UnZipLoRA",
        "UnZipLoRA, arXiv 2412.04465",
        lambda sizes, plan, given: UnZip(sizes, plan, *given),
        unzip.STEPS,
        unzip.RANK,
        unzip.RATE,
        falls=False,
        attention=True,
        halves=unzip.HALVES,
    ),
)
