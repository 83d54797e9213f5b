"""The table of merge methods: a new one is its file and its line here."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import KLoraError
from . import knots, lego, null_space, sparse, sums
from .method import MergeMethod, Parameter

METHODS: tuple[MergeMethod, ...] = (
    *sums.METHODS,
    *sparse.METHODS,
    *knots.METHODS,
    *lego.METHODS,
    *null_space.METHODS,
)


def named(name: str) -> MergeMethod:
    """The method of a name. Raises KLoraError."""
    for method in METHODS:
        if method.name == name:
            return method
    raise KLoraError(f"unknown merge method {name!r}.", f"Use one of {', '.join(m.name for m in METHODS)}")


def parameters() -> Iterable[tuple[str, list[tuple[MergeMethod, Parameter]]]]:
    """Every parameter name, with the methods that have it and what it is there."""
    found: dict[str, list[tuple[MergeMethod, Parameter]]] = {}
    for method in METHODS:
        for parameter in method.parameters:
            found.setdefault(parameter.name, []).append((method, parameter))
    return found.items()
