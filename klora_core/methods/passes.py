"""Several passes of the model, each LoRA alone in its own, and their predictions mixed before guidance.

LoRA Composite (Zhong et al., arXiv 2402.16843, section 3.2) takes the mean. CMLoRA (Zou et al., Cached
Multi-LoRA Composition, arXiv 2502.04923) lets one of the passes count for more, in turns. Its feature cache
is left out: at its own intervals 0 and 1 it is off, and it is made for SD1.5's UNet alone.
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
from .turns import ORDERS
from .whole import Whole

LATE = 0.6


@dataclass(frozen=True)
class LoraComposite(Whole):
    """eps = (1 / N) sum_i eps_i, LoRA i alone in pass i."""

    name = "LoRA Composite"
    paper = "arXiv 2402.16843"
    summary = "the model runs once for each LoRA alone, and the mean of its predictions is what counts."

    def who(self, moment: Moment) -> np.ndarray:
        """LoRA i in pass i, in all of its slots; int8 [LoRAs, slots]."""
        return self.present.alone

    def weights(self, moment: Moment) -> tuple[float, ...]:
        return (1 / self.present.count,) * self.present.count

    def facts(self) -> tuple[Fact, ...]:
        count = self.present.count
        return (Fact("passes", str(count), f"a step takes {count} times as long"),)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LoraComposite:
        return cls(cls.presence_in(document))


def slow_steps(steps: int) -> tuple[int, ...]:
    """The steps at which the dominant LoRA changes: interval 0 of the paper.

    Every second one until 3/8 of the run, every third until 7/8, every second after.
    """
    first, second = int(0.375 * steps), int(0.875 * steps)
    return (*range(0, first, 2), *range(first, second, 3), *range(second, steps, 2))


def dominant_weights(count: int, c: float) -> tuple[float, float]:
    """(w_d / N, w_n / N), w_n = N / (c + N - 1), w_d = c w_n: the dominant pass's share, another's."""
    other = 1 / (c + count - 1)
    return c * other, other


@dataclass(frozen=True)
class CmLora(Whole):
    """eps = (1 / N) (w_d eps_dominant + w_n sum of the others); the dominant LoRA changes at slow steps.

    ``c`` is w_d / w_n, N - 1/2 in the paper, where it is None here. ``late`` are LoRAs, by index, that
    dominate only after 0.6 of the steps. ``order`` says how they then do. ``paper``: they join the rotation.
    ``code``: the rotation keeps its length and moves on by one LoRA, so that the first one drops out of it.
    Raises KLoraError for a ``c`` that is not positive.
    """

    c: float | None = None
    late: tuple[int, ...] = ()
    order: str = ORDERS[0]

    name = "CMLoRA"
    paper = "arXiv 2502.04923"
    summary = "the model runs once for each LoRA alone; in turns, one of its predictions counts for more."

    def __post_init__(self) -> None:
        if self.c is not None and not (math.isfinite(self.c) and self.c > 0):
            raise KLoraError(f"c must be a positive number, got {self.c!r}.")
        if self.order not in ORDERS:
            raise KLoraError(f"unknown order {self.order!r}.", f"Use one of {', '.join(ORDERS)}")

    @property
    def counts_steps(self) -> bool:
        return True

    def who(self, moment: Moment) -> np.ndarray:
        """LoRA i in pass i, in all of its slots; int8 [LoRAs, slots]."""
        return self.present.alone

    def dominant(self, moment: Moment) -> int:
        """The LoRA whose prediction counts for more."""
        turn = sum(step <= moment.step for step in slow_steps(moment.steps)) - 1
        rotation = self._rotation(moment)
        return rotation[turn % len(rotation)]

    def _rotation(self, moment: Moment) -> tuple[int, ...]:
        early = tuple(i for i in range(self.present.count) if i not in self.late)
        late = tuple(i for i in range(self.present.count) if i in self.late)
        if not early or not late:
            return early or late
        if moment.step <= LATE * moment.steps:
            return early
        everyone = early + late
        return everyone if self.order == "paper" else everyone[1 : len(early) + 1]

    def weights(self, moment: Moment) -> tuple[float, ...]:
        """The dominant pass's share and the others'; they sum to 1."""
        leading, other = dominant_weights(self.present.count, self._c)
        dominant = self.dominant(moment)
        return tuple(leading if i == dominant else other for i in range(self.present.count))

    @property
    def _c(self) -> float:
        return self.present.count - 0.5 if self.c is None else self.c

    def facts(self) -> tuple[Fact, ...]:
        count = self.present.count
        leading, other = dominant_weights(count, self._c)
        found = [
            Fact("passes", str(count), f"a step takes {count} times as long"),
            Fact(
                "weights", f"{leading:.3g}", f"of the dominant LoRA's prediction, {other:.3g} of each other"
            ),
        ]
        if self.late:
            named = ", ".join(str(i + 1) for i in self.late)
            found.append(
                Fact("late", named, f"LoRAs that dominate only after {LATE:g} of the steps ({self.order})")
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        return {"dominance": {"c": self.c, "late": list(self.late), "order": self.order}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CmLora:
        found = document["dominance"]
        return cls(cls.presence_in(document), found["c"], tuple(found["late"]), found["order"])
