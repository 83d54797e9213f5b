"""Weighted sums of LoRAs: exact by concatenation of the factors, and cut to the best smaller rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..deltas import LowRank
from .method import MergeMethod, Settings, Term, largest_rank


def concatenation(changes: Sequence[LowRank]) -> LowRank:
    """sum_i dW_i, exactly: up = [B_1 .. B_N] [out, sum r_i], down = [A_1; ..; A_N] [sum r_i, n].

    Not the sum of the factors, (B_1 + B_2)(A_1 + A_2), which some tools call linear. The scales go into
    ``up``: ``down`` stays the LoRAs' own. float32.
    """
    return LowRank(
        torch.cat([change.up * change.scale for change in changes], dim=1),
        torch.cat([change.down for change in changes]),
    )


def _linear(terms: Sequence[Term], settings: Settings) -> LowRank:
    return concatenation([term.weighted() for term in terms])


# "svd" is the same sum: the rank of its row makes the caller cut it, best in the Frobenius norm.
METHODS = (
    MergeMethod("linear", "Linear", "the weighted sum, LoRA, arXiv 2106.09685", _linear),
    MergeMethod(
        "svd",
        "SVD",
        "the weighted sum at its best lower rank, Eckart and Young 1936",
        _linear,
        default_rank=largest_rank,
    ),
)
