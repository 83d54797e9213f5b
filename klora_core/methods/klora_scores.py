"""What K-LoRA compares (arXiv 2502.18461, Eqs. 3 to 5): the scores of LoRAs in the slots that compete."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import KLoraError
from ..pairing import Row
from ..roles import STYLE, SUBJECT
from ..scoring import Request, Score

Scorer = Callable[[Sequence[Request]], Sequence[Score]]


def top_k(rank_subject: int, rank_style: int, entries: int) -> int:
    """K(l) = r_c r_s (Eq. 5), at most the number of entries of dW(l)."""
    return min(rank_subject * rank_style, entries)


class Evidence(NamedTuple):
    """What is known of a slot: K, and for each LoRA its rank, S (Eqs. 3, 4) and L1; 0 where it lacks it."""

    k: int
    ranks: tuple[int, ...]
    scores: tuple[float, ...]
    l1: tuple[float, ...]


def evidence_of(
    rows: Sequence[Row], roles: Sequence[str], score: Scorer, names: Sequence[str]
) -> tuple[Evidence, ...]:
    """The evidence of the competing ``rows``: each LoRA is scored once in each slot, by ``score``.

    ``roles`` and ``names`` are the LoRAs'. Raises KLoraError for scores that are not finite, naming LoRA and
    layer.
    """
    ks = [_k(row, roles) for row in rows]
    places, requests = [], []
    for i, row in enumerate(rows):
        for j, delta in enumerate(row.deltas):
            if delta is not None:
                places.append((i, j))
                requests.append(Request(delta, ks[i]))
    sums = [[Score(0.0, 0.0)] * len(roles) for _ in rows]
    for (i, j), found in zip(places, score(requests), strict=True):
        if not all(map(math.isfinite, found)):
            raise KLoraError(
                f"{names[j]}: layer {rows[i].slot.name} holds values that are not finite or overflow "
                "when multiplied out. The file is damaged or the training diverged: use "
                "another version of this LoRA."
            )
        sums[i][j] = Score(*found)
    return tuple(
        Evidence(
            k,
            tuple(0 if delta is None else delta.rank for delta in row.deltas),
            tuple(one.top_k for one in slot),
            tuple(one.l1 for one in slot),
        )
        for k, row, slot in zip(ks, rows, sums, strict=True)
    )


def _k(row: Row, roles: Sequence[str]) -> int:
    """Eq. 5 of the largest ranks of each role, so that all LoRAs of a slot are summed alike."""
    ranks = {SUBJECT: 0, STYLE: 0}
    for role, delta in zip(roles, row.deltas, strict=True):
        if delta is not None and role in ranks:
            ranks[role] = max(ranks[role], delta.rank)
    return top_k(ranks[SUBJECT], ranks[STYLE], math.prod(row.shape))
