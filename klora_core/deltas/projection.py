"""What one LoRA does on inputs that another does not read; what they share is worked out once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..memo import Bounded
from .digest import Digests
from .matrices import LowRank


def read_by(down: Tensor, winner: Tensor) -> Tensor:
    """C [r, r_w], float64: C ``winner`` = ``down`` Q Q^T, what of ``down`` [r, n] is in winner's row space.

    Q Q^T is the projector that a QR of ``winner`` [r_w, n], transposed, gives within its numerical rank in
    float32; here from the Gram matrix of the rows, in float64. Rows count by their direction, not by their
    size: those of zero count for nothing.
    """
    wide = winner.to(torch.float64)
    size = wide.norm(dim=1, keepdim=True)
    size = torch.where(size > 0, size, 1.0)
    unit = wide / size
    values, vectors = torch.linalg.eigh(unit @ unit.T)
    tolerance = max(winner.shape) * torch.finfo(torch.float32).eps
    there = values > values[-1] * tolerance**2
    found = down.to(torch.float64) @ unit.T @ vectors[:, there] / values[there]
    return found @ vectors[:, there].T / size.T


def off_inputs(down: Tensor, winner: Tensor, shared: Tensor, share: float = 1.0) -> Tensor:
    """``down`` (I - ``share`` Q Q^T), float32 [r, n], Q of ``winner`` [r_w, n].

    ``shared`` is :func:`read_by` of the two.
    """
    off = down.to(torch.float64) - share * (shared @ winner.to(torch.float64))
    return off.to(torch.float32)


def project_off_inputs(delta: LowRank, winner: LowRank, shared: Tensor | None = None) -> LowRank:
    """What ``delta`` does to inputs that ``winner`` does not read: dW (I - Q Q^T); only ``down`` changes.

    ``shared`` is :func:`read_by` of the two downs where it is known. The new down is float32. A winner whose
    ``down`` is zero projects nothing off.
    """
    if shared is None:
        shared = read_by(delta.down, winner.down)
    return LowRank(delta.up, off_inputs(delta.down, winner.down, shared), delta.scale)


class SharedInputs:
    """:func:`read_by` of pairs of downs by their contents, the last ``limit`` bytes of it.

    r x r_w numbers for factors of r x n. No strength and no dial is in them. ``misses`` counts what was
    worked out.
    """

    def __init__(self, limit: int) -> None:
        self._pairs: Bounded[tuple[bytes, bytes], Tensor] = Bounded(limit, lambda shared: shared.nbytes)
        self.misses = 0

    @property
    def held(self) -> int:
        """Bytes."""
        return self._pairs.size

    def of(self, down: Tensor, winner: Tensor, memory: Digests | None = None) -> Tensor:
        """read_by(down, winner); contents are read where ``memory`` has them not."""
        memory = Digests() if memory is None else memory
        return self._of((memory.of(down), memory.of(winner)), down, winner)

    def both(self, one: Tensor, other: Tensor, memory: Digests | None = None) -> tuple[Tensor, Tensor]:
        """read_by(one, other) and read_by(other, one); contents are read where ``memory`` has them not."""
        memory = Digests() if memory is None else memory
        first, second = memory.of(one), memory.of(other)
        return self._of((first, second), one, other), self._of((second, first), other, one)

    def _of(self, key: tuple[bytes, bytes], down: Tensor, winner: Tensor) -> Tensor:
        shared = self._pairs.get(key)
        if shared is None:
            self.misses += 1
            shared = read_by(down, winner)
            self._pairs.put(key, shared)
        return shared
