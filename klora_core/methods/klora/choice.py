"""Who works in a layer at a moment: K-LoRA (Ouyang, Li, Hou, CVPR 2025, arXiv 2502.18461), Eqs. 7, 9 and 10.

dW_i(l) = B_i A_i is what LoRA i changes in layer slot l; c is a subject (the paper's content), s a style.
S_c(l) and S_s(l), the sums of the K(l) largest |entries| of each (Eqs. 3 to 5), come from ``evidence``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...errors import KLoraError

GAMMA_MODES = ("paper", "reference", "none")
TRIM = 3.0


def scale(x: float, alpha: float, beta: float) -> float:
    """Eq. 7: S(x) = alpha x + beta, at progress ``x`` in [0, 1]: 0 is pure noise, 1 the clean image."""
    return alpha * x + beta


def scale_star(x: float, alpha: float, beta: float) -> float:
    """S*(x) = (alpha x + beta) mod alpha, which the authors advise for FLUX."""
    return (alpha * x + beta) % alpha


def gamma(sums: Sequence[tuple[float, float]], mode: str) -> float:
    """Eq. 9: gamma = sum_l ||dW_c(l)||_1 / sum_l ||dW_s(l)||_1, of the pairs ``sums`` of each slot, float64.

    That is ``paper``. ``reference``: the mean of the slots' own ratios without those of 3 times their mean or
    more, as in the published code. ``none``: 1. With a style that is zero everywhere there is nothing to
    compare and gamma is 1. Raises KLoraError for another mode.
    """
    if mode == "paper":
        styles = sum(s for _, s in sums)
        return sum(c for c, _ in sums) / styles if styles > 0 else 1.0
    if mode == "reference":
        return _trimmed_mean([c / s for c, s in sums if s > 0])
    if mode == "none":
        return 1.0
    raise KLoraError(f"unknown gamma mode {mode!r}.", f"Use one of {', '.join(GAMMA_MODES)}")


def _trimmed_mean(ratios: Sequence[float]) -> float:
    if not ratios:
        return 1.0
    mean = sum(ratios) / len(ratios)
    kept = [r for r in ratios if r < TRIM * mean]
    return sum(kept) / len(kept) if kept else 1.0


def rho(score_subject: float, score_style: float, gamma: float) -> float:
    """rho(l) = S_c(l) / (gamma S_s(l)), of which Eq. 10 is a comparison with S(x).

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


def subject_wins(rhos: np.ndarray, scale: float) -> np.ndarray:
    """Eq. 10: slot l uses the subject iff S_c(l) >= gamma S(x) S_s(l), else the style; bool [slots].

    ``rhos`` is float64 [slots], ``scale`` S(x); a tie is the subject's.
    """
    return rhos >= scale
