"""A plan as a switchboard: what has to change between two moments of a run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .plan import STYLE, SUBJECT, Plan


class Switches:
    """The competing slots sorted by rho, so that a moment of the run is one position in that order.

    All slots before the position use the style, all from it on the subject (Eq. 10). Going from one
    position to another therefore touches exactly the slots that flip, and a moment without a flip
    costs one binary search.
    """

    def __init__(self, plan: Plan) -> None:
        rho = plan.rho()
        self._schedule = plan.schedule
        self._order = np.argsort(rho, kind="stable")
        self._sorted = rho[self._order]

    def position(self, x: float) -> int:
        """The position at progress ``x`` in [0, 1]: the number of slots that use the style."""
        return int(np.searchsorted(self._sorted, self._schedule.scale(x), side="left"))

    def changes(self, previous: int | None, position: int) -> Iterator[tuple[int, int]]:
        """(slot index, winner) of each slot whose winner differs; all slots where ``previous`` is None."""
        if previous is None:
            for rank, slot in enumerate(self._order):
                yield int(slot), STYLE if rank < position else SUBJECT
            return
        winner = STYLE if position > previous else SUBJECT
        for slot in self._order[min(previous, position) : max(previous, position)]:
            yield int(slot), winner
