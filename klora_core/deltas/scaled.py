"""What every kind of delta has: dW = scale * product, of tensors in fields of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

H = TypeVar("H", bound="Held")
S = TypeVar("S", bound="Scaled")


@dataclass(frozen=True, eq=False)
class Held:
    """A frozen dataclass whose fields ``held`` are tensors, pairs of them, others of these, or None."""

    held: ClassVar[tuple[str, ...]]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What it is made of, in the order of ``held``."""
        return tuple(tensor for name in self.held for tensor in _tensors(getattr(self, name)))

    def with_tensors(self: H, tensors: Sequence[Tensor]) -> H:
        """The same of other tensors, in the order of ``tensors``. Raises ValueError for more or fewer."""
        return self._with(**self._refilled(tensors))

    def _refilled(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        if len(tensors) != len(self.tensors):
            raise ValueError(f"{len(tensors)} tensors in the place of {len(self.tensors)}")
        rest = iter(tensors)
        return {name: _refilled(getattr(self, name), rest) for name in self.held}

    def _with(self: H, **fields: Any) -> H:
        return replace(self, **fields)


def _tensors(value: Any) -> tuple[Tensor, ...]:
    if value is None:
        return ()
    if isinstance(value, Tensor):
        return (value,)
    return value if isinstance(value, tuple) else value.tensors


def _refilled(value: Any, rest: Iterator[Tensor]) -> Any:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return next(rest)
    if isinstance(value, tuple):
        return tuple(next(rest) for _ in value)
    return value.with_tensors([next(rest) for _ in value.tensors])


class Scaled(Held, ABC):
    """A weight change dW [out, n] of one slot, convolutions' kernels flat in n."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """What the product is multiplied with; a field of every kind."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """What people call it."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """[out, n]."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """A bound on dW's rank, from its parametrisation."""

    @abstractmethod
    def rows(self: S, start: int, length: int) -> S:
        """The rows ``start .. start+length`` of dW."""

    @abstractmethod
    def reordered(self: S, order: Tensor) -> S:
        """dW with row ``order[i]`` in the place of row i."""

    @abstractmethod
    def product(self) -> Tensor:
        """dW / scale as a matrix, in the factors' dtype and on their device."""

    def stored_as(self, dtype: torch.dtype) -> tuple[torch.dtype, ...]:
        """What its tensors are kept as where it is added in ``dtype``; what are no floats stays as it is."""
        return tuple(dtype if tensor.is_floating_point() else tensor.dtype for tensor in self.tensors)

    def with_tensors(self: S, tensors: Sequence[Tensor]) -> S:
        """Other tensors in the order of ``tensors``; scale 1. Raises ValueError for more or fewer."""
        return self._with(**self._refilled(tensors), scale=1.0)

    def scaled(self: S, strength: float) -> S:
        """strength * dW: only ``scale`` changes."""
        return self._with(scale=self.scale * strength)

    def outline(self: S) -> S:
        """One of the same kind and sizes, whatever its numbers."""
        return self

    def dense(self, device: torch.device | str = "cpu") -> Tensor:
        """dW as a float32 matrix [out, n] of its own."""
        return self.with_tensors(as_float32(self.tensors, device)).product().mul_(self.scale)


def as_float32(tensors: Sequence[Tensor], device: torch.device | str) -> list[Tensor]:
    """The tensors on ``device``, the floating ones as float32."""
    return [t.to(device=device, dtype=torch.float32 if t.is_floating_point() else t.dtype) for t in tensors]
