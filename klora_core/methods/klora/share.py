"""How many layers K-LoRA gives to each role over a run, and the balance that gives a wanted share.

A slot is the style's where rho < S(x) 4**b (Eq. 10 with the balance b), so where log4(rho / S(x)) < b: the
share of the style is the share of these numbers below b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .schedule import Schedule


def style_share(rhos: np.ndarray, schedule: Schedule, xs: Sequence[float]) -> float:
    """The style's share of the slots, the mean over progress ``xs``; ``rhos`` is float64 [slots]."""
    if not rhos.size:
        return 0.0
    return float(np.mean([(rhos < schedule.scale(x)).mean() for x in xs]))


def balance_for(
    rhos: np.ndarray, schedule: Schedule, xs: Sequence[float], share: float = 0.5
) -> float | None:
    """The balance within -1 and 1 whose style share over ``xs`` comes nearest to ``share``, in hundredths.

    Of equally near ones the one next to 0. None where no slot competes.
    """
    if not rhos.size:
        return None
    even = replace(schedule, balance=0.0)
    scales = np.array([even.scale(x) for x in xs])
    with np.errstate(divide="ignore", invalid="ignore"):
        # A subject of zero has rho -inf and is below every balance; S = 0 is reached by no other.
        turns = np.log(np.maximum(rhos, 0.0)[:, None] / scales[None]) / np.log(4.0)
    turns[np.isneginf(rhos)] = -np.inf
    turns[:, scales == 0] = np.where(np.isneginf(rhos), -np.inf, np.inf)[:, None]
    balances = np.round(np.arange(-100, 101) / 100, 2)
    off = np.abs(np.searchsorted(np.sort(turns, axis=None), balances) / turns.size - share)
    best = off.min()
    near = balances[off <= best + 1e-12]
    return float(near[np.abs(near).argmin()])
