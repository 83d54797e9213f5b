"""K-LoRA as a method: the choice of its equations among any number of subjects and styles."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...deltas import Delta, Digests
from ...errors import KLoraError
from ...loras import STYLE, SUBJECT, LoraInfo
from ...progress import Columns, Moment
from ..method import Fact, Method
from . import why, words
from .choice import GAMMA_MODES, gamma, rho, subject_wins
from .document import evidence_in, head, named, of_slot, roles_in
from .evidence import Evidence
from .handover import Handover, handover, in_words
from .outside import beside
from .schedule import DEFAULT_ALPHA, DEFAULT_BETA, Schedule

SCORES = TOP_K, ENERGY = ("top-k", "energy")
LOSERS = ("off", "outside")
DEFAULT_OUTSIDE = 0.5


@dataclass(frozen=True)
class KLora(Method):
    """Eq. 10 with known numbers. ``roles`` are the LoRAs' roles, ``evidence`` the competing slots'.

    With several LoRAs of a role the strongest of them in a slot stands for the role there: the one with the
    largest S for the size that gamma brings all LoRAs to. With two LoRAs this is the paper.

    ``score`` ``energy`` compares ||dW||_F^2 in the place of S, and gamma evens those out (EST-LoRA, arXiv
    2508.02165, with the ratio of the energies for its gamma: its own changes with the LoRAs' strengths).
    ``outside`` above 0 adds the loser of the two that stand for their roles, see ``outside``.
    Raises KLoraError for an unknown score, and for an ``outside`` that is not within 0 and 1.
    """

    schedule: Schedule
    gamma_mode: str
    roles: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    score: str = TOP_K
    outside: float = 0.0

    name = "K-LoRA"
    paper = "arXiv 2502.18461"
    summary = "in every layer and step either the subject or the style LoRA works, never both."

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise KLoraError(f"unknown score {self.score!r}.", f"Use one of {', '.join(SCORES)}")
        if not 0 <= self.outside <= 1:
            raise KLoraError(f"outside must be within 0 and 1, got {self.outside!r}.")
        self.gamma_of(self.gamma_mode)

    def candidates(
        self, slot: int, deltas: Sequence[Delta | None], memory: Digests | None = None
    ) -> tuple[Delta | None, ...]:
        """The LoRAs' own deltas; with ``outside`` each leader's with the other leader's beside it."""
        candidates = list(deltas)
        subject, style = (int(leaders[slot]) for leaders in self._leaders)
        leaders = deltas[subject], deltas[style]
        candidates[subject], candidates[style] = beside(*leaders, self.outside, memory)
        return tuple(candidates)

    def key_of(self) -> Hashable:
        """How strongly losers act, and beside whom."""
        return (self.outside, *(leaders.tobytes() for leaders in self._leaders)) if self.outside else None

    def who(self, moment: Moment) -> np.ndarray:
        """The subject's or the style's leader in each slot, by Eq. 10; int8 [1, slots]."""
        subject, style = self._leaders
        return np.where(subject_wins(self.rhos, self.scale(moment.x)), subject, style).astype(np.int8)[None]

    def scale(self, x: float) -> float:
        """S(x), Eq. 7."""
        return self.schedule.scale(x)

    def curve(self) -> str:
        """``S`` or ``S*``."""
        return self.schedule.name.upper()

    @cached_property
    def rhos(self) -> np.ndarray:
        """rho of each slot between the two that lead there, float64 [slots]."""
        each = [
            rho(slot.scores[c], slot.scores[s], self._gammas[c, s])
            for slot, c, s in zip(self._compared, *self._leaders, strict=True)
        ]
        return np.array(each, dtype=np.float64)

    @property
    def gamma(self) -> float:
        """gamma of the first subject and the first style."""
        return self.gamma_of(self.gamma_mode)

    def gamma_of(self, mode: str) -> float:
        """The same under another mode."""
        return self._gamma(self.roles.index(SUBJECT), self.roles.index(STYLE), mode)

    def _gamma(self, subject: int, style: int, mode: str) -> float:
        return gamma([(slot.l1[subject], slot.l1[style]) for slot in self._compared], mode)

    @cached_property
    def _compared(self) -> tuple[Evidence, ...]:
        return tuple(slot.compared() for slot in self.evidence)

    @cached_property
    def _gammas(self) -> dict[tuple[int, int], float]:
        pairs = [(c, s) for c in self._of(SUBJECT) for s in self._of(STYLE)]
        return {(c, s): self._gamma(c, s, self.gamma_mode) for c, s in pairs}

    def _of(self, role: str) -> list[int]:
        return [index for index, own in enumerate(self.roles) if own == role]

    @cached_property
    def _leaders(self) -> tuple[np.ndarray, np.ndarray]:
        """The subject and the style that stand for their roles in each slot, LoRAs by index, int [slots]."""
        subjects, styles = self._of(SUBJECT), self._of(STYLE)
        scores = np.array([slot.scores for slot in self._compared], dtype=np.float64)
        scores = scores.reshape(-1, len(self.roles))
        # Sizes of one role's LoRAs against the first of the other role: what gamma would even out.
        sizes_c = np.array([self._gammas[c, styles[0]] for c in subjects])
        sizes_s = np.array([1 / g if (g := self._gammas[subjects[0], s]) else math.inf for s in styles])
        return _strongest(scores[:, subjects], sizes_c, subjects), _strongest(
            scores[:, styles], sizes_s, styles
        )

    def facts(self) -> tuple[Fact, ...]:
        """gamma and the schedule, in numbers and words."""
        amounts = None if self.score == ENERGY else [slot.k for slot in self.evidence]
        totals = self._total(SUBJECT), self._total(STYLE)
        return words.facts(self.schedule, amounts, self.gamma_mode, self.gamma, totals, self.outside)

    def never(self, candidate: int, label: str) -> str:
        """Zero everywhere, or too weak at these settings."""
        is_zero = not any(slot.scores[candidate] for slot in self._compared)
        return words.never(self.roles, candidate, label, is_zero)

    def handover(self, columns: Columns) -> Handover | None:
        """When the style takes over, None where no slot competes."""
        if not (len(self.rhos) and len(columns)):
            return None
        each = [~subject_wins(self.rhos, self.scale(moment.x)) for moment in columns.moments]
        return handover(np.stack(each, axis=1))

    def course(self, columns: Columns) -> tuple[str, ...]:
        """When the style takes over, and how far that is all that is chosen."""
        found = self.handover(columns)
        return (in_words(found, columns),) if found else ()

    def answers(self, loras: Sequence[LoraInfo], xs: Sequence[float]) -> tuple[str, ...]:
        """Why the style may look weak and the subject lost; with two LoRAs alone."""
        if not self.live:
            return ()
        return why.answers(why.Decided(self.roles, self.evidence, self.schedule, self.rhos), loras, xs)

    def _total(self, role: str) -> float:
        lora = self.roles.index(role)
        return sum(slot.l1[lora] for slot in self._compared)

    def to_json(self) -> dict[str, Any]:
        """gamma, under each mode too, the schedule, and what is not the paper's."""
        gammas = {mode: self.gamma_of(mode) for mode in GAMMA_MODES}
        return head(self.schedule, self.gamma_mode, gammas, self.score, self.outside)

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """Ranks, K, scores and L1 sums, or energies, of a slot, one of each for a LoRA, and rho."""
        return of_slot(self.evidence[index], float(self.rhos[index]), loras)

    @property
    def live(self) -> bool:
        """With two LoRAs the page follows every dial by itself."""
        return len(self.roles) == 2

    def page_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """What is compared in a slot: all that a new balance, schedule or gamma mode needs."""
        return named("score", loras, self._compared[index].scores)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """alpha, and beta of each schedule."""
        return {"alpha": DEFAULT_ALPHA, "beta": DEFAULT_BETA}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> KLora:
        """The method of a document, bit for bit; what an older one does not say is the paper's."""
        score = document.get("score", TOP_K)
        kinds = ("", "", "energy") if score == ENERGY else ("score", "l1", "")
        return cls(
            Schedule(**document["schedule"]),
            document["gamma"]["mode"],
            roles_in(document),
            evidence_in(document, kinds),
            score,
            document.get("loser", {}).get("outside", 0.0),
        )


def _strongest(scores: np.ndarray, sizes: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 / 0, a LoRA that is zero everywhere, becomes 0.
        leading = np.nan_to_num(scores / sizes).argmax(axis=1)
    return np.array(indices)[leading]
