"""K-LoRA (Ouyang, Li, Hou, CVPR 2025, arXiv 2502.18461), section 3.2, its equations in order.

dW_i(l) = B_i A_i is what LoRA i changes in slot l, of rank r_i; c is a subject (the paper's content), s a
style.
Eqs. 3 to 5, the sums of the K largest |entries| of each dW, are klora_scores' ``evidence_of``; all that
follows from them is here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..deltas import Delta
from ..errors import KLoraError
from ..method import Fact, Method
from ..progress import Moment
from ..roles import STYLE, SUBJECT
from . import klora_json, klora_why, klora_words
from .klora_outside import beside
from .klora_scores import Evidence

if TYPE_CHECKING:
    from ..plan import LoraInfo

SCHEDULES = ("s", "s*")
DEFAULT_ALPHA = 1.5
DEFAULT_BETA = {"s": 0.5, "s*": 1.3}
MAX_BALANCE = 100
GAMMA_MODES = ("paper", "reference", "none")
SCORES = TOP_K, ENERGY = ("top-k", "energy")
LOSERS = ("off", "outside")
DEFAULT_OUTSIDE = 0.5
TRIM = 3.0


@dataclass(frozen=True)
class Schedule:
    """S(x) = alpha x + beta (Eq. 7), or S*(x) = (alpha x + beta) mod alpha, times 4**balance.

    ``balance`` leans the choice: -1 subject, 0 the paper, +1 style. Raises KLoraError for another name and
    for numbers out of range.
    """

    name: str = SCHEDULES[0]
    alpha: float = DEFAULT_ALPHA
    beta: float = DEFAULT_BETA[SCHEDULES[0]]
    balance: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise KLoraError(f"Unknown schedule {self.name!r}: use one of {', '.join(SCHEDULES)}.")
        for label, value in (("alpha", self.alpha), ("beta", self.beta), ("balance", self.balance)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise KLoraError(f"Schedule {self.name}: {label} must be a finite number, got {value!r}.")
        if abs(self.balance) > MAX_BALANCE:
            raise KLoraError(f"balance must be within -{MAX_BALANCE} and {MAX_BALANCE}, got {self.balance}.")
        if self.alpha < 0 or self.beta < 0:
            raise KLoraError(
                f"Schedule {self.name}: alpha and beta must not be negative, "
                f"got {self.alpha} and {self.beta}."
            )
        if self.name == "s*" and self.alpha == 0:
            raise KLoraError("Schedule s*: alpha must be greater than 0, since S* wraps at alpha.")

    def scale(self, x: float) -> float:
        """S at progress ``x`` in [0, 1]: 0 is pure noise, 1 the clean image."""
        value = self.alpha * x + self.beta
        if self.name == "s*":
            value = value % self.alpha
        return value * 4.0**self.balance


def make_schedule(
    name: str, alpha: float | None = None, beta: float | None = None, balance: float = 0.0
) -> Schedule:
    """A :class:`Schedule` with the paper's alpha and beta where none is given."""
    start = DEFAULT_BETA.get(name, 0.0) if beta is None else beta
    return Schedule(name, DEFAULT_ALPHA if alpha is None else alpha, start, balance)


def gamma(evidence: Sequence[Evidence], mode: str, subject: int = 0, style: int = 1) -> float:
    """gamma of a subject and a style, LoRAs by index, over the competing slots, in float64.

    ``paper``: Eq. 9, the ratio of the two L1 sums. ``reference``: the mean of the slots' own ratios
    without those of 3 times their mean or more, as in the published code. ``none``: 1.
    With a style that is zero everywhere there is nothing to compare and gamma is 1.
    Raises KLoraError for another mode.
    """
    pairs = [(slot.l1[subject], slot.l1[style]) for slot in evidence]
    if mode == "paper":
        styles = sum(s for _, s in pairs)
        return sum(c for c, _ in pairs) / styles if styles > 0 else 1.0
    if mode == "reference":
        return _trimmed_mean([c / s for c, s in pairs if s > 0])
    if mode == "none":
        return 1.0
    raise KLoraError(f"Unknown gamma mode {mode!r}: use one of {', '.join(GAMMA_MODES)}.")


def _trimmed_mean(ratios: Sequence[float]) -> float:
    if not ratios:
        return 1.0
    mean = sum(ratios) / len(ratios)
    kept = [r for r in ratios if r < TRIM * mean]
    return sum(kept) / len(kept) if kept else 1.0


def rho(score_subject: float, score_style: float, gamma: float) -> float:
    """rho(l) = S_c(l) / (gamma S_s(l)): the subject is used while rho(l) >= S(x), which is Eq. 10.

    A style of zero gives inf (always the subject; both zero count as the tie that Eq. 10 gives to it), a
    subject of zero -inf (always the style, at S = 0 too). A gamma of zero, which ``reference`` gives where
    it keeps slots of a zero subject alone, leaves nothing to compare with: inf.
    """
    if score_style == 0:
        return math.inf
    if score_subject == 0:
        return -math.inf
    size = gamma * score_style
    return score_subject / size if size else math.inf


@dataclass(frozen=True)
class KLora(Method):
    """Eq. 10 with known numbers. ``roles`` are the LoRAs' roles, ``evidence`` the competing slots'.

    With several LoRAs of a role the strongest of them in a slot stands for the role there: the one with the
    largest S for the size that gamma brings all LoRAs to. With two LoRAs this is the paper.

    ``score`` ``energy`` compares ||dW||_F^2 in the place of S, and gamma evens those out (EST-LoRA, arXiv
    2508.02165, with the ratio of the energies for its gamma: its own changes with the LoRAs' strengths).
    ``outside`` above 0 adds the loser of the two that stand for their roles, see ``klora_outside``.
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
            raise KLoraError(f"Unknown score {self.score!r}: use one of {', '.join(SCORES)}.")
        if not 0 <= self.outside <= 1:
            raise KLoraError(f"outside must be within 0 and 1, got {self.outside!r}.")
        self.gamma_of(self.gamma_mode)

    def candidates(self, slot: int, deltas: Sequence[Delta | None]) -> tuple[Delta | None, ...]:
        """The LoRAs' own deltas; with ``outside`` each leader's with the other leader's beside it."""
        made = list(deltas)
        subject, style = (int(leaders[slot]) for leaders in self._leaders)
        made[subject], made[style] = beside(deltas[subject], deltas[style], self.outside)
        return tuple(made)

    def made_of(self) -> Hashable:
        """How strongly losers act, and beside whom."""
        return (self.outside, *(leaders.tobytes() for leaders in self._leaders)) if self.outside else None

    def who(self, moment: Moment) -> np.ndarray:
        """Eq. 10: the subject iff S_c(l) >= gamma S(x) S_s(l), else the style; int8 [1, slots]."""
        subject, style = self._leaders
        return np.where(self.rhos >= self.scale(moment.x), subject, style).astype(np.int8)[None]

    def scale(self, x: float) -> float:
        """S(x), Eq. 7."""
        return self.schedule.scale(x)

    def curve(self) -> str:
        """``S`` or ``S*``."""
        return self.schedule.name.upper()

    @cached_property
    def rhos(self) -> np.ndarray:
        """rho of each slot between the two that lead there, float64 [slots]."""
        found = [
            rho(slot.scores[c], slot.scores[s], self._gammas[c, s])
            for slot, c, s in zip(self._compared, *self._leaders, strict=True)
        ]
        return np.array(found, dtype=np.float64)

    @property
    def gamma(self) -> float:
        """gamma of the first subject and the first style."""
        return self.gamma_of(self.gamma_mode)

    def gamma_of(self, mode: str) -> float:
        """The same under another mode."""
        return gamma(self._compared, mode, self.roles.index(SUBJECT), self.roles.index(STYLE))

    @cached_property
    def _compared(self) -> tuple[Evidence, ...]:
        return tuple(slot.compared() for slot in self.evidence)

    @cached_property
    def _gammas(self) -> dict[tuple[int, int], float]:
        pairs = [(c, s) for c in self._of(SUBJECT) for s in self._of(STYLE)]
        return {(c, s): gamma(self._compared, self.gamma_mode, c, s) for c, s in pairs}

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
        return klora_words.facts(
            self.schedule, amounts, self.gamma_mode, self.gamma, self._totals, self.outside
        )

    def never(self, candidate: int, label: str) -> str:
        """Zero everywhere, or too weak at these settings."""
        is_zero = not any(slot.scores[candidate] for slot in self._compared)
        return klora_words.never(self.roles, candidate, label, is_zero)

    def answers(self, loras: Sequence[LoraInfo], xs: Sequence[float]) -> tuple[str, ...]:
        """Why the style may look weak and the subject lost; with two LoRAs alone."""
        return klora_why.answers(self, loras, xs) if self.live else ()

    @property
    def _totals(self) -> tuple[float, float]:
        subject, style = self.roles.index(SUBJECT), self.roles.index(STYLE)
        return tuple(sum(slot.l1[lora] for slot in self._compared) for lora in (subject, style))  # type: ignore[return-value]

    def to_json(self) -> dict[str, Any]:
        """gamma, under each mode too, the schedule, and what is not the paper's."""
        return klora_json.head(self, GAMMA_MODES)

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """Ranks, K, scores and L1 sums, or energies, of a slot, one of each for a LoRA, and rho."""
        return klora_json.of_slot(self, index, loras)

    @property
    def live(self) -> bool:
        """With two LoRAs the page follows every dial by itself."""
        return len(self.roles) == 2

    def page_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """What is compared in a slot: all that a new balance, schedule or gamma mode needs."""
        return klora_json.named("score", loras, self._compared[index].scores)

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
            klora_json.roles_in(document),
            klora_json.evidence_in(document, kinds),
            score,
            document.get("loser", {}).get("outside", 0.0),
        )


def _strongest(scores: np.ndarray, sizes: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 / 0, a LoRA that is zero everywhere, becomes 0.
        leading = np.nan_to_num(scores / sizes).argmax(axis=1)
    return np.array(indices)[leading]
