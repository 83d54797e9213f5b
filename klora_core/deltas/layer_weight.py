"""A layer's own weight W, for weight changes that depend on it: read anew when asked for, never kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Read = Callable[[torch.device], Tensor]
"""The weight [out, in, kernel...], float32 on a device; W alone, dequantised where it is stored otherwise."""


@dataclass(frozen=True, eq=False)
class LayerWeight:
    """Some rows of a layer's weight, and what tells them from those of another checkpoint.

    ``read`` may be slow and its result large: it is for one slot at a time. ``shape`` is [out, n], kernels
    flat; ``kernel`` the number of a kernel's places, 1 for a linear layer.
    """

    read: Read
    shape: tuple[int, int]
    kernel: int
    mark: bytes

    @staticmethod
    def of(read: Read, device: torch.device) -> LayerWeight:
        """A layer's whole weight; it is read once, for its shape and its mark."""
        weight = read(device)
        out, kernel = weight.shape[0], math.prod(weight.shape[2:])
        return LayerWeight(read, (out, weight.shape[1] * kernel), kernel, _mark(weight.flatten(1)))

    def flat(self, device: torch.device | str) -> Tensor:
        """W as a float32 matrix [out, n], kernels flat."""
        return self.read(torch.device(device)).flatten(1)

    def rows(self, start: int, length: int) -> LayerWeight:
        """The rows ``start .. start+length`` of W."""
        return LayerWeight(
            lambda device: self.read(device).narrow(0, start, length),
            (length, self.shape[1]),
            self.kernel,
            self.mark + f" {start}+{length}".encode(),
        )

    def reordered(self, order: Tensor) -> LayerWeight:
        """W with row ``order[i]`` in the place of row i."""
        return LayerWeight(
            lambda device: self.read(device)[order.to(device)],
            self.shape,
            self.kernel,
            self.mark + _digest(order),
        )


def _mark(weight: Tensor) -> bytes:
    """Bytes of W times a fixed random vector: what float32 sums can't see there, no score can.

    Hashing the weights themselves would take longer than all else that is done with them.
    """
    columns = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(0x6B6C6F))
    return _digest(weight @ columns.to(weight.device))


def _digest(vector: Tensor) -> bytes:
    return hashlib.blake2b(vector.cpu().numpy().tobytes(), digest_size=16).digest()
