"""A weight change whose ranks are multiplied by a gate of the layer's input: dW(x) = up diag(f(z)) down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..scaled import Scaled
from .gate import Gate


@dataclass(frozen=True, eq=False)
class Gated(Scaled):
    """dW(x) x = scale * up (f(z) * z[:R]), z = down x; ``up`` [out, R], ``down`` [R or more, n].

    Rows of ``down`` behind the first R only tell the gate. It has no matrix: what needs one has to refuse it.
    ``label`` is what people call the kind.
    """

    up: Tensor
    down: Tensor
    gate: Gate
    label: str
    scale: float = 1.0

    held = ("up", "down", "gate")

    @property
    def kind(self) -> str:
        return self.label

    @property
    def shape(self) -> tuple[int, int]:
        return self.up.shape[0], self.down.shape[1]

    @property
    def rank(self) -> int:
        return self.up.shape[1]

    def rows(self, start: int, length: int) -> Gated:
        """The rows ``start .. start+length`` of dW(x): the gate sees what it saw of all."""
        return self._with(up=self.up.narrow(0, start, length))

    def reordered(self, order: Tensor) -> Gated:
        return self._with(up=self.up[order])

    def product(self) -> Tensor:
        raise TypeError("a change that depends on the layer's input has no matrix")

    def stored_as(self, dtype: torch.dtype) -> tuple[torch.dtype, ...]:
        """Factors are in ``dtype``; the few numbers of a gate are not rounded."""
        own = len(self.gate.tensors)
        return (*super().stored_as(dtype)[:-own], *(tensor.dtype for tensor in self.gate.tensors))


def is_gated(deltas: Iterable[object]) -> bool:
    """Whether one of them depends on the layer's input."""
    return any(isinstance(delta, Gated) for delta in deltas)
