"""K-LoRA (Ouyang, Li, Hou, CVPR 2025, arXiv 2502.18461), section 3.2: scores in, plan out."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import KLoraError
from ..plan import Gamma, LoraInfo, Plan, ScoredSlot, Unmatched
from ..schedules import Schedule

GAMMA_MODES = ("paper", "reference", "none")
TRIM = 3.0


def gamma(slots: Sequence[ScoredSlot], mode: str) -> Gamma:
    """gamma over the competing slots, in float64.

    ``paper``: Eq. 9, the ratio of the two L1 sums. ``reference``: the mean of the slots' own ratios
    without those of 3 times their mean or more, as in the published code. ``none``: 1.
    With a style that is zero everywhere there is nothing to compare and gamma is 1.
    """
    if mode == "paper":
        style = sum(slot.l1_style for slot in slots)
        return Gamma(mode, sum(slot.l1_subject for slot in slots) / style if style > 0 else 1.0)
    if mode == "reference":
        return Gamma(mode, _trimmed_mean([s.l1_subject / s.l1_style for s in slots if s.l1_style > 0]))
    if mode == "none":
        return Gamma(mode, 1.0)
    raise KLoraError(f"Unknown gamma mode {mode!r}: use one of {', '.join(GAMMA_MODES)}.")


def _trimmed_mean(ratios: Sequence[float]) -> float:
    if not ratios:
        return 1.0
    mean = sum(ratios) / len(ratios)
    kept = [r for r in ratios if r < TRIM * mean]
    return sum(kept) / len(kept) if kept else 1.0


def make_plan(
    slots: Sequence[ScoredSlot],
    schedule: Schedule,
    gamma_mode: str = "paper",
    *,
    subject: LoraInfo,
    style: LoraInfo,
    unmatched: Unmatched | None = None,
) -> Plan:
    """The K-LoRA plan (Eq. 10) of scored slots. Raises KLoraError for an unknown gamma mode."""
    return Plan(subject, style, gamma(slots, gamma_mode), schedule, tuple(slots), unmatched or Unmatched())
