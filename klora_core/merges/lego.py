"""LoRA-LEGO (arXiv 2409.16167): the rank-one units of all LoRAs are clustered, and a cluster is one unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..deltas import LowRank
from ..errors import KLoraError
from .clusters import k_means
from .low_rank import numerical_rank, svd
from .method import MergeMethod, Parameter, Settings, Term, largest_rank

MOST_UNITS = 4096
RAW, CANONICAL = GAUGES = ("raw", "svd")


def units(change: LowRank, weight: float) -> Tensor:
    """The minimal semantic units [r, n + out] of weight * dW: rows (a_j, b_j), dW = sum_j b_j a_j^T.

    The size of weight and scale goes into both halves alike, as a root; their sign into b.
    """
    strength = weight * change.scale
    root = abs(strength) ** 0.5
    sign = -1.0 if strength < 0 else 1.0
    return torch.cat((change.down * root, (change.up * (root * sign)).T), dim=1)


def canonical(change: LowRank) -> LowRank:
    """dW in the one gauge that its SVD fixes: down = sqrt(s) V, up = U sqrt(s), rows sorted by s.

    Factors have a freedom that dW does not see, (B G)(G^-1 A), and the clusters depend on it. What the SVD
    leaves open, the sign of each pair, is fixed by making the largest entry of each row of V positive.
    """
    u, s, v = svd(change)
    keep = max(1, numerical_rank(s))
    u, root, v = u[:, :keep], s[:keep].sqrt(), v[:keep]
    peaks = v.gather(1, v.abs().argmax(dim=1, keepdim=True))
    signs = torch.where(peaks < 0, -1.0, 1.0)
    return LowRank(u * (root[:, None] * signs).T, root[:, None] * signs * v)


def centroids(pool: Tensor, labels: Tensor) -> Tensor:
    """One unit a cluster [k, n + out]: the mean of its members, at the mean of their infinity norms.

    The mean of units that disagree is shorter than they are; the rescaling makes up for it. A mean of
    exactly zero stays zero.
    """
    member = (labels == torch.arange(int(labels.max()) + 1, device=labels.device)[:, None]).to(pool)
    member /= member.sum(dim=1, keepdim=True)
    means = member @ pool
    sizes = means.abs().amax(dim=1)
    wanted = member @ pool.abs().amax(dim=1)
    return means * torch.where(sizes > 0, wanted / sizes, 0.0)[:, None]


def lego(
    pool: Tensor,
    k: int,
    reference_rank: int,
    n: int,
    seed: int,
    reweight: bool,
    step: Callable[[float], None] = lambda share: None,
) -> LowRank:
    """k units from the ``pool`` [m, n + out] of all LoRAs' units; dW times sqrt(r_ref / k) if ``reweight``.

    Rank min(k, m). Units that add nothing (a_j or b_j zero) take no part: a LoRA of zeros changes nothing.
    ``reference_rank`` is r_ref, the rank of a LoRA before the merge. ``step`` is told the share that is done.
    """
    pool = pool[(pool[:, :n].abs().amax(dim=1) > 0) & (pool[:, n:].abs().amax(dim=1) > 0)]
    if not len(pool):
        return LowRank(pool.new_zeros(pool.shape[1] - n, 1), pool.new_zeros(1, n))
    # Sorted by what they are, so that the order of the LoRAs does not reach the random starts.
    wide = pool.double()
    order = np.lexsort((wide.sum(dim=1).cpu().numpy(), wide.square().sum(dim=1).cpu().numpy()))
    pool, wide = pool[torch.from_numpy(order)], wide[torch.from_numpy(order)]
    k = min(k, len(pool))
    gram = (wide @ wide.T).cpu().numpy()
    if not np.isfinite(gram).all():
        raise OverflowError("units that are not finite have no distance")
    labels = torch.from_numpy(k_means(gram, k, seed, step=step))
    merged = centroids(pool, labels.to(pool.device))
    scale = (reference_rank / k) ** 0.5 if reweight else 1.0
    return LowRank(merged[:, n:].T * scale, merged[:, :n])


def _merge(terms: Sequence[Term], settings: Settings) -> LowRank:
    changes = [term.factors() for term in terms]
    if settings.values["gauge"] == CANONICAL:
        changes = [canonical(change) for change in changes]
    pool = torch.cat([units(change, term.weight) for change, term in zip(changes, terms, strict=True)])
    if len(pool) > MOST_UNITS:
        raise KLoraError(
            f"layer {settings.slot.name}: LoRA-LEGO compares each of {len(pool)} ranks, those of all LoRAs "
            f"together, with each, and takes at most {MOST_UNITS}.",
            "Choose another method, or bring the LoRAs to smaller ranks first",
        )
    reference = largest_rank(terms)
    return lego(
        pool,
        settings.rank or reference,
        reference,
        terms[0].delta.shape[1],
        int(settings.values["seed"]),
        settings.values["reweight"] == "on",
        settings.step,
    )


METHODS = (
    MergeMethod(
        "lora-lego",
        "LoRA-LEGO",
        "LoRA-LEGO, arXiv 2409.16167",
        _merge,
        (
            Parameter(
                "gauge",
                RAW,
                "the factors as they were trained, or brought to the form that their SVD fixes",
                choices=GAUGES,
            ),
            Parameter(
                "reweight", "on", "times the root of (the LoRAs' rank / the result's)", choices=("on", "off")
            ),
            Parameter("seed", 0, "where the clusters start", low=0, high=2**53),
        ),
        default_rank=largest_rank,
    ),
)
