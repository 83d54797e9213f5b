"""Weight changes that depend on the weight itself: OFT, BOFT and DoRA, as they act and not multiplied out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Union

from torch import Tensor

from ..names import Slot
from .gates import Gated
from .layer_weight import LayerWeight
from .matrices import Dense, LowRank
from .output_map import OutputMap
from .products import Additive, Hadamard, Kron
from .scaled import Scaled, as_float32


@dataclass(frozen=True, eq=False)
class Remapped(Scaled):
    """dW = scale * (L (W + D) C - W): of the layer's weight W, an additive change D, and a map of its
    outputs (L, ``left``) or of its inputs (C = diag(1 + ``columns``), [in], one for all places of a kernel).

    ``parts`` [1 or 2] weigh what comes of W and what comes of D: (1, D's own scale). W is not held, it is
    read by ``base`` where dW has to be made; a layer's output W x is enough to apply it.
    """

    base: LayerWeight
    parts: Tensor
    inner: Additive | None = None
    left: OutputMap | None = None
    columns: Tensor | None = None
    scale: float = 1.0

    held = ("parts", "left", "columns", "inner")

    @property
    def kind(self) -> str:
        """What people call it: turned outputs are an OFT, scaled ones or inputs a DoRA."""
        return "DoRA" if self.left is None or self.left.turns is None else "OFT"

    @property
    def shape(self) -> tuple[int, int]:
        return self.base.shape

    @property
    def rank(self) -> int:
        """The smaller side: W's own rank is in it."""
        return min(self.shape)

    @property
    def mixes(self) -> bool:
        """Whether any row of dW is made of all of W's: some rows are no less work than all."""
        return self.left is not None and self.left.butterfly

    def rows(self, start: int, length: int) -> Remapped:
        """The rows ``start .. start+length`` of dW. Raises KLoraError where a rotation mixes others in."""
        if (start, length) == (0, self.shape[0]):
            return self
        return replace(
            self,
            base=self.base.rows(start, length),
            inner=None if self.inner is None else self.inner.rows(start, length),
            left=None if self.left is None else self.left.rows(start, length),
        )

    def reordered(self, order: Tensor) -> Remapped:
        """dW with row ``order[i]`` in the place of row i. Raises KLoraError for a rotation."""
        return replace(
            self,
            base=self.base.reordered(order),
            inner=None if self.inner is None else self.inner.reordered(order),
            left=None if self.left is None else self.left.reordered(order),
        )

    def piece(self, weight: Tensor, start: int, length: int) -> Tensor:
        """The rows ``start .. start+length`` of dW / scale, of ``weight``, all of W [out, n]."""
        first, count = (start, length) if self.left is None else self.left.cover(start, length)
        own = weight.narrow(0, first, count).to(self.parts.dtype)
        change: Tensor | None = None
        if self.inner is not None:
            change = self.inner.rows(first, count).product() * self.parts[1]
        both = own if change is None else own + change
        if self.left is not None:
            mapped = self._mapped(first, count).less_one(both.T).T
        else:
            assert self.columns is not None, "a change has a map of outputs or of inputs"
            mapped = both * self.columns.repeat_interleave(self.base.kernel)
        whole = mapped if change is None else mapped + change
        return whole.narrow(0, start - first, length)

    def _mapped(self, first: int, count: int) -> OutputMap:
        assert self.left is not None
        return self.left if (first, count) == (0, self.shape[0]) else self.left.rows(first, count)

    def product(self) -> Tensor:
        """dW / scale as a float32 matrix, on the factors' device."""
        device = self.parts.device
        exact = self.with_tensors(as_float32(self.tensors, device))
        return exact.piece(self.base.flat(device), 0, self.shape[0])


Delta = Union[LowRank, Dense, Kron, Hadamard, Remapped, Gated]
Deltas = Mapping[Slot, Delta]
