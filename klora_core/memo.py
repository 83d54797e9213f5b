"""What was worked out of objects, kept for as long as these live."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """The last ``limit`` results by the objects they belong to; one goes when any of its objects does.

    A result must not hold its objects itself, or they would never go.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[Hashable, tuple[tuple[weakref.ref[Any], ...], T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def of(
        self,
        owners: Sequence[object],
        key: Hashable,
        make: Callable[[], T],
        keep: Callable[[T], bool] = lambda made: True,
    ) -> T:
        """What ``make`` gives, made once for these very ``owners`` and an equal ``key``.

        Nothing is kept where ``make`` raises, or ``keep`` says no to it. Raises TypeError for owners that
        can't be referred to weakly.
        """
        place = tuple(map(id, owners)), key
        found = self._held.get(place)
        # An id may be another object's by now, where a reference's end has not been told yet.
        if found is not None and all(ref() is owner for ref, owner in zip(found[0], owners, strict=True)):
            self._held.move_to_end(place)
            return found[1]
        made = make()
        if not keep(made):
            return made
        refs = tuple(weakref.ref(owner, lambda _: self._held.pop(place, None)) for owner in owners)
        self._held[place] = refs, made
        self._held.move_to_end(place)
        while len(self._held) > self._limit:
            self._held.popitem(last=False)
        return made
