"""SMoRA, arXiv 2501.15103: s = sigmoid(Wr x) + b, the k largest of the ranks take part for each token.

y = W x + (alpha / k) B (g * A x), with g the k largest of s divided by their sum, times k, and 0 elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .gate import Gate

# A sum of gates is not less, whatever b is in a file.
_LEAST = 1e-6


def routed(logits: Tensor, bias: Tensor, k: int) -> Tensor:
    """g [.., r] for the logits Wr x [.., r]; k of a token's r are not 0, and sum to k."""
    s = torch.sigmoid(logits) + bias
    found = s.topk(k, -1)
    shares = found.values / found.values.sum(-1, keepdim=True).clamp_min(_LEAST)
    return torch.zeros_like(s).scatter(-1, found.indices, shares * k)


@dataclass(frozen=True, eq=False)
class Ranks(Gate):
    """The choice of ranks in one slot: z holds A x, then Wr x; ``bias`` [r] is b."""

    bias: Tensor
    k: int

    held = ("bias",)

    @property
    def count(self) -> int:
        return self.bias.shape[0]

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        gates = routed(z[..., self.count :], self.bias, self.k)
        return gates, gates / self.k
