"""The plan: which LoRA a slot uses at which progress. Plain data; everything reads the same one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .errors import KLoraError
from .schedules import Schedule, step_progress

SCHEMA = "klora-plan/1"
SUBJECT, STYLE = 0, 1
LETTERS = "cs"


@dataclass(frozen=True)
class ScoredSlot:
    """A competing slot with the numbers of K-LoRA's Eqs. 3 to 5 for both LoRAs.

    ``shape`` is [out, in] of dW (kernels flattened into ``in``); ``k`` the number of entries that were
    summed; ``score_*`` the sum of the k largest |entries| of dW, ``l1_*`` the sum of all of them.
    """

    name: str
    shape: tuple[int, int]
    rank_subject: int
    rank_style: int
    k: int
    score_subject: float
    score_style: float
    l1_subject: float
    l1_style: float


@dataclass(frozen=True)
class Gamma:
    """The factor that brings the two LoRAs to one size (Eq. 9), and the rule that gave it."""

    mode: str
    value: float


@dataclass(frozen=True)
class LoraInfo:
    """Who a LoRA is in the plan. ``slots`` counts the slots that it changes in the diffusion model."""

    name: str
    slots: int = 0
    strength: float = 1.0


@dataclass(frozen=True)
class Unmatched:
    """Slots that one LoRA changes and that do not compete, and layers that are no slots, by name.

    ``applied`` tells what becomes of them; ``notes`` are sentences for the report.
    """

    subject: tuple[str, ...] = ()
    style: tuple[str, ...] = ()
    applied: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """K-LoRA's choice for every slot and progress: Eq. 10 with known numbers."""

    subject: LoraInfo
    style: LoraInfo
    gamma: Gamma
    schedule: Schedule
    slots: tuple[ScoredSlot, ...]
    unmatched: Unmatched = field(default_factory=Unmatched)

    def rho(self) -> np.ndarray:
        """rho(l) = S_c(l) / (gamma * S_s(l)) of each slot, float64 [slots].

        A slot whose style is all zero has rho = inf (always subject), one whose subject is all zero -inf
        (always style, at S = 0 too); both zero counts as the tie that Eq. 10 gives to the subject.
        """
        return np.array([_rho(slot, self.gamma.value) for slot in self.slots], dtype=np.float64)

    def choices(self, steps: int) -> np.ndarray:
        """Who wins, int8 [slots, steps]: 0 subject, 1 style, at x = (i + 1/2) / steps."""
        check_steps(steps)
        scales = np.array([self.schedule.scale(step_progress(i, steps)) for i in range(steps)])
        return np.where(self.rho()[:, None] >= scales[None, :], SUBJECT, STYLE).astype(np.int8)

    def shares(self, steps: int) -> np.ndarray:
        """Share of the slots that use the style in each step, float64 [steps], 0 without slots."""
        chosen = self.choices(steps)
        return chosen.mean(axis=0) if len(chosen) else np.zeros(steps)

    def to_json(self, steps: int) -> dict[str, Any]:
        """The plan as the ``klora-plan/1`` document for a run of ``steps`` steps; inf and NaN become null."""
        chosen = self.choices(steps)
        slots = [
            {
                "name": slot.name,
                "shape": list(slot.shape),
                "rank_subject": slot.rank_subject,
                "rank_style": slot.rank_style,
                "k": slot.k,
                "score_subject": slot.score_subject,
                "score_style": slot.score_style,
                "l1_subject": slot.l1_subject,
                "l1_style": slot.l1_style,
                "rho": _finite(rho),
                "choice": "".join(LETTERS[c] for c in row),
            }
            for slot, rho, row in zip(self.slots, self.rho(), chosen, strict=True)
        ]
        return {
            "schema": SCHEMA,
            "subject": _info(self.subject),
            "style": _info(self.style),
            "gamma": {"mode": self.gamma.mode, "value": _finite(self.gamma.value)},
            "schedule": {
                "name": self.schedule.name,
                "alpha": self.schedule.alpha,
                "beta": self.schedule.beta,
                "balance": self.schedule.balance,
            },
            "steps": steps,
            "slots": slots,
            "unmatched": {"subject": list(self.unmatched.subject), "style": list(self.unmatched.style)},
        }

    def dumps(self, steps: int) -> str:
        """:meth:`to_json` as text, byte for byte the same for equal plans."""
        return json.dumps(self.to_json(steps), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(document: Mapping[str, Any]) -> Plan:
    """The plan in a ``klora-plan/1`` document. Raises KLoraError for any other document."""
    if document.get("schema") != SCHEMA:
        raise KLoraError(f"Not a {SCHEMA} document: its schema is {document.get('schema')!r}.")
    try:
        gamma = document["gamma"]
        slots = tuple(
            ScoredSlot(
                **{k: s[k] for k in ScoredSlot.__dataclass_fields__ if k != "shape"}, shape=tuple(s["shape"])
            )
            for s in document["slots"]
        )
        value = math.inf if gamma["value"] is None else gamma["value"]
        return Plan(
            subject=LoraInfo(**document["subject"]),
            style=LoraInfo(**document["style"]),
            gamma=Gamma(gamma["mode"], value),
            schedule=Schedule(**document["schedule"]),
            slots=slots,
            unmatched=Unmatched(
                subject=tuple(document["unmatched"]["subject"]), style=tuple(document["unmatched"]["style"])
            ),
        )
    except (KeyError, TypeError) as error:
        raise KLoraError(f"The {SCHEMA} document is incomplete: {error}.") from error


def with_schedule(plan: Plan, schedule: Schedule) -> Plan:
    """The same scores under another schedule: nothing is scored again."""
    return replace(plan, schedule=schedule)


def check_steps(steps: int) -> None:
    """Raise KLoraError unless ``steps`` is at least 1."""
    if steps < 1:
        raise KLoraError(f"steps must be at least 1, got {steps}.")


def _rho(slot: ScoredSlot, gamma: float) -> float:
    if slot.score_style == 0:
        return math.inf
    if slot.score_subject == 0:
        return -math.inf
    return slot.score_subject / (gamma * slot.score_style)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _info(info: LoraInfo) -> dict[str, Any]:
    return {"name": info.name, "slots": info.slots, "strength": info.strength}
