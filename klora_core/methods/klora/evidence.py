"""What K-LoRA compares (arXiv 2502.18461, Eqs. 3 to 5): the scores of LoRAs in the slots that compete."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...deltas import Delta, Row
from ...errors import KLoraError
from ...loras import STYLE, SUBJECT
from ...scores import Request, Score, Scorer, energy


def top_k(rank_subject: int, rank_style: int, entries: int) -> int:
    """K(l) = r_c r_s (Eq. 5), at most the number of entries of dW(l)."""
    return min(rank_subject * rank_style, entries)


class Evidence(NamedTuple):
    """What is known of a slot: K, and for each LoRA its rank, S (Eqs. 3, 4) and L1; 0 where it lacks it.

    ``energies`` are each LoRA's ||dW||_F^2 where those are compared, and then S and L1 are not known.
    """

    k: int
    ranks: tuple[int, ...]
    scores: tuple[float, ...]
    l1: tuple[float, ...]
    energies: tuple[float, ...] = ()

    def compared(self) -> Evidence:
        """The same with what is compared and evened out by gamma in the places of S and L1."""
        return self._replace(scores=self.energies, l1=self.energies) if self.energies else self


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
            raise _not_finite(names[j], rows[i])
        sums[i][j] = Score(*found)
    return tuple(
        Evidence(k, _ranks(row), tuple(one.top_k for one in slot), tuple(one.l1 for one in slot))
        for k, row, slot in zip(ks, rows, sums, strict=True)
    )


def energies_of(
    rows: Sequence[Row],
    roles: Sequence[str],
    names: Sequence[str],
    measure: Callable[[Sequence[Delta]], Sequence[float]] | None = None,
) -> tuple[Evidence, ...]:
    """The same with ||dW||_F^2 for what is compared (EST-LoRA, arXiv 2508.02165).

    ``measure`` works them all out; None: one by one.
    """
    there = [delta for row in rows for delta in row.deltas if delta is not None]
    measured = iter(map(energy, there) if measure is None else measure(there))
    found = []
    for row in rows:
        energies = tuple(0.0 if delta is None else next(measured) for delta in row.deltas)
        for name, value in zip(names, energies, strict=True):
            if not math.isfinite(value):
                raise _not_finite(name, row)
        found.append(Evidence(_k(row, roles), _ranks(row), (), (), energies))
    return tuple(found)


def _ranks(row: Row) -> tuple[int, ...]:
    return tuple(0 if delta is None else delta.rank for delta in row.deltas)


def _not_finite(name: str, row: Row) -> KLoraError:
    return KLoraError(
        f"{name}: layer {row.slot.name} holds values that are not finite or overflow when multiplied "
        "out. The file is damaged or the training diverged.",
        "Use another version of this LoRA",
    )


def _k(row: Row, roles: Sequence[str]) -> int:
    """Eq. 5 of the largest ranks of each role, so that all LoRAs of a slot are summed alike."""
    ranks = {SUBJECT: 0, STYLE: 0}
    for role, delta in zip(roles, row.deltas, strict=True):
        if delta is not None and role in ranks:
            ranks[role] = max(ranks[role], delta.rank)
    return top_k(ranks[SUBJECT], ranks[STYLE], math.prod(row.shape))
