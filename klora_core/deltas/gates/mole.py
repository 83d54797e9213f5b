"""MoLE, arXiv 2404.13628: g = softmax(score / tau), score = e^T normalise(v), v = [B_1 z_1; ..; B_N z_N].

z_i = A_i x. ``normalise`` is that of the whole vector of N out entries: (v - mean v) / sqrt(var v). At the
cost of ranks: e_j^T v = (sum_i B_i^T e_ij)^T z, sum v = (B^T 1)^T z and |v|^2 = z^T (B^T B) z, with the mean
taken out of the first and the last beforehand. The LoRAs' outputs are never made. The paper flattens all
tokens into e, which binds a gate to one resolution; here each token has its score, and a picture the mean of
its tokens'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .gate import Gate, gates_of

# The least variance of the LoRAs' output: nothing in, nothing out.
_NOTHING = 1e-20


def toward(e: Tensor, ups: Sequence[Tensor]) -> Tensor:
    """[R, N]: what z is multiplied with for e^T (v - mean v). ``e`` [N out, N], ``ups`` N of [out, r_i].

    Linear in e, so that a gradient reaches it.
    """
    count, out = len(ups), ups[0].shape[0]
    own = torch.cat([up.T @ part for up, part in zip(ups, e.view(count, out, -1), strict=True)])
    return own - _ones(ups).unsqueeze(1) * (e.sum(0) / (count * out))


def gram(ups: Sequence[Tensor]) -> Tensor:
    """[R, R], with z^T G z the variance of v's entries."""
    entries, ones = sum(up.shape[0] for up in ups), _ones(ups)
    whole = torch.block_diag(*(up.T @ up for up in ups))
    return (whole - torch.outer(ones, ones) / entries) / entries


def _ones(ups: Sequence[Tensor]) -> Tensor:
    return torch.cat([up.sum(0) for up in ups])


def scores(z: Tensor, toward: Tensor, gram: Tensor) -> Tensor:
    """The score of each LoRA [.., N] for z [.., R]."""
    variance = ((z @ gram) * z).sum(-1, keepdim=True)
    return z @ toward * (variance.clamp_min(0) + _NOTHING).rsqrt()


@dataclass(frozen=True, eq=False)
class Mole(Gate):
    """A trained gate of one slot; ``owner`` [R] says which LoRA each rank is of, ``total`` is s."""

    toward: Tensor
    gram: Tensor
    tau: Tensor
    owner: Tensor
    total: float
    pool: str

    held = ("toward", "gram", "tau", "owner")

    @property
    def count(self) -> int:
        return self.toward.shape[1]

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        gates = gates_of(scores(z, self.toward, self.gram), self.tau, self.pool)
        return self.total * gates.index_select(-1, self.owner), gates
