"""What is worth keeping, bounded: the values last used, and results for as long as their objects live."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Bounded(Generic[K, T]):
    """The values last used: as many as ``limit``, or as many as have that size together.

    ``size`` is what they take: each counts for ``size_of`` it, which must not change. A value that is
    ``in_use`` when its turn to go has come counts as just used: such ones may take more than the limit.
    """

    def __init__(
        self,
        limit: int,
        size_of: Callable[[T], int] = lambda value: 1,
        in_use: Callable[[T], bool] = lambda value: False,
    ) -> None:
        self._limit, self._size_of, self._in_use = limit, size_of, in_use
        self.size = 0
        self._values: OrderedDict[K, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> T | None:
        """The value of ``key``, which thereby is the last used; None where there is none."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: T) -> None:
        """Keep ``value``, as the last used; the oldest make room."""
        self.drop(key)
        self._values[key] = value
        self._count(value)
        for _ in range(len(self._values)):
            if self.size <= self._limit:
                return
            oldest, value = self._values.popitem(last=False)
            if self._in_use(value):
                self._values[oldest] = value
            else:
                self._count(value, -1)

    def drop(self, key: K) -> None:
        """Keep the value of ``key`` no longer, if there is one."""
        value = self._values.pop(key, None)
        if value is not None:
            self._count(value, -1)

    def _count(self, value: T, times: int = 1) -> None:
        # Worked out first: a call may let an object go, whose end drops a value here.
        change = times * self._size_of(value)
        self.size += change

    def clear(self) -> None:
        """Keep nothing, as in the beginning."""
        self._values.clear()
        self.size = 0


class Memo(Generic[T]):
    """The last ``limit`` results by the objects they belong to; one goes when any of its objects does.

    A result must not hold its objects itself, or they would never go.
    """

    def __init__(self, limit: int) -> None:
        self._held: Bounded[Hashable, tuple[tuple[weakref.ref[Any], ...], T]] = Bounded(limit)

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
        held = self._held.get(place)
        # An id may be another object's by now, where a reference's end has not been told yet.
        if held is not None and all(ref() is owner for ref, owner in zip(held[0], owners, strict=True)):
            return held[1]
        result = make()
        if keep(result):
            refs = tuple(weakref.ref(owner, lambda _: self._held.drop(place)) for owner in owners)
            self._held.put(place, (refs, result))
        return result

    def clear(self) -> None:
        """Keep nothing, as in the beginning."""
        self._held.clear()
