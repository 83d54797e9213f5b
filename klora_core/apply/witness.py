"""Which layers have run: told by what is on them, since a host may compute with a weight past its layer."""

from __future__ import annotations

from collections.abc import Iterable


class Mark:
    """Whether a layer has run while the gate was open."""

    ran = False


class Witness:
    """The marks of the layers that have something on them, by name."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}

    def mark(self, layer: str) -> Mark:
        """The mark of ``layer``, for whatever is put on it."""
        return self._marks.setdefault(layer, Mark())

    @property
    def unseen(self) -> tuple[str, ...]:
        """The layers that have not run so far, in the order of their marks."""
        return tuple(layer for layer, mark in self._marks.items() if not mark.ran)


def unseen_by_all(each: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The layers that ran on none of several copies of a model, each with its own unseen ones."""
    first, *others = [*each] or [()]
    return tuple(layer for layer in first if all(layer in other for other in others))
