"""Where deltas are added in a model, and what its host has to say about its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ..deltas import Delta
from ..names import Slot

Span = tuple[int, int] | None
"""(start, length) of a layer's output features, None for all."""


@dataclass(frozen=True, eq=False)
class Target:
    """Where deltas are added: ``rows`` (start, length) of a layer's output features, None for all.

    ``layer`` is the module's full name below the model; each of the ``candidates``, one shape all, may be
    added there (None: adds nothing), strength folded in.
    """

    layer: str
    rows: Span
    candidates: tuple[Delta | None, ...]


class Spot(NamedTuple):
    """``part`` (start, length) of a slot's rows lies in ``rows`` of the output of ``layer``; None for all."""

    layer: str
    rows: Span
    part: Span = None


Where = Callable[[Slot, int], Sequence[Spot]]
"""(slot, its number of rows) -> where these lie in the model."""


class Gate(Protocol):
    """Says whether the model call in progress is one of ours."""

    open: bool


def _always(module: Any) -> bool:
    return True


def _nothing() -> None:
    pass


def _as_they_are(modules: Sequence[Any], gate: Gate) -> Callable[[], None]:
    return _nothing


def _own_bias(module: Any, x: Tensor) -> Tensor:
    return module.bias.to(x.device)


@dataclass(frozen=True)
class HostRules:
    """What a host has to say about the layers of its models.

    ``plain_forwards``: the ``forward`` functions, of classes, that do no more than weight and bias do; only
    layers that run one of them are folded, none by default. ``as_it_lies``: whether a layer would use its
    weight in this call just as it is stored, neither cast, moved nor patched on its way into the product.
    ``bias``: what a layer that has a bias adds to its product with an input. ``calls``: makes the host call
    these layers, while the gate is open, also where it would compute with their weights itself; gives what
    undoes that.
    """

    plain_forwards: frozenset[Callable[..., Any]] = frozenset()
    as_it_lies: Callable[[Any], bool] = _always
    bias: Callable[[Any, Tensor], Tensor] = _own_bias
    calls: Callable[[Sequence[Any], Gate], Callable[[], None]] = _as_they_are
