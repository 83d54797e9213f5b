"""LoRA Switch (Zhong et al., Multi-LoRA Composition for Image Generation, arXiv 2402.16843), section 3.1.

One LoRA at a time works, in all of its slots, and every tau steps it is the next one's turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import KLoraError
from ..progress import Moment
from .method import Fact
from .whole import Whole

ORDERS = ("code", "paper")
DEFAULT_TAU = 5
_EVEN = 1e-9


@dataclass(frozen=True)
class Turns:
    """When it is whose turn.

    ``tau`` is a number of steps (int), or a fraction of the run (float, by its progress). ``order``:
    ``paper`` gives every LoRA tau steps; ``code``, what the published images were made with, changes after
    step k where k > 0 and k mod tau = 0, so that the first LoRA has one step more. The last ``reserve``
    steps belong to the LoRA ``last`` (W-Switch, arXiv 2606.03792). Raises KLoraError for numbers out of
    range.
    """

    tau: int | float = DEFAULT_TAU
    order: str = ORDERS[0]
    reserve: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise KLoraError(f"unknown order {self.order!r}.", f"Use one of {', '.join(ORDERS)}")
        whole = isinstance(self.tau, int) and not isinstance(self.tau, bool) and self.tau >= 1
        if not whole and not (isinstance(self.tau, float) and 0 < self.tau <= 1):
            raise KLoraError(
                f"tau must be a number of steps, at least 1, or a part of the run up to 1, got {self.tau!r}."
            )
        if self.reserve < 0:
            raise KLoraError(f"reserve must not be negative, got {self.reserve}.")

    def turn(self, moment: Moment) -> int:
        """How many turns are over."""
        late = 1 if self.order == "code" else 0
        if isinstance(self.tau, int):
            return max(0, moment.step - late) // self.tau
        # A step's progress is at its middle, a border that float arithmetic has moved is a border still.
        return max(0, math.floor((moment.x - late / moment.steps) / self.tau + _EVEN))


@dataclass(frozen=True)
class LoraSwitch(Whole):
    """active(k) = floor((k mod (N tau)) / tau) in the paper's order, k = 0 .. T - 1."""

    turns: Turns

    name = "LoRA Switch"
    paper = "arXiv 2402.16843"
    summary = "one LoRA at a time works in the whole model, and they take turns over the steps."

    @property
    def counts_steps(self) -> bool:
        return isinstance(self.turns.tau, int) or self.turns.reserve > 0

    def active(self, moment: Moment) -> int:
        """The LoRA whose turn it is."""
        if moment.step >= moment.steps - self.turns.reserve:
            return self.turns.last
        return self.turns.turn(moment) % self.present.count

    def who(self, moment: Moment) -> np.ndarray:
        """The active LoRA in all of its slots, int8 [1, slots]."""
        return self.present.alone[self.active(moment)][None]

    def facts(self) -> tuple[Fact, ...]:
        """The length of a turn, the order, and the reserve."""
        tau, reserve = self.turns.tau, self.turns.reserve
        length = f"{tau} steps" if isinstance(tau, int) else f"{tau:g} of the run"
        if length == "1 steps":
            length = "1 step"
        first = "; the first LoRA's first turn is one step longer" if self.turns.order == "code" else ""
        found = [Fact("turn", length, f"counted as in the {self.turns.order}{first}")]
        if reserve:
            found.append(
                Fact("reserve", str(reserve), f"last steps that belong to LoRA {self.turns.last + 1}")
            )
        return tuple(found)

    def never(self, candidate: int, label: str) -> str:
        """The run is over before its turn."""
        return f"the {label} LoRA is used nowhere: its turn never comes. Shorten tau, or sample more steps."

    def to_json(self) -> dict[str, Any]:
        """The turns; ``turn_unit`` says whether tau is in steps or in runs: elsewhere 1.0 may become 1."""
        turns = self.turns
        return {
            "turns": {"tau": turns.tau, "order": turns.order, "reserve": turns.reserve, "last": turns.last},
            "turn_unit": "steps" if isinstance(turns.tau, int) else "run",
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LoraSwitch:
        return cls(cls.presence_in(document), Turns(**document["turns"]))
