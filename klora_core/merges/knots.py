"""KnOTS (arXiv 2410.19735): LoRAs brought to a common basis by an SVD, and merged there entry by entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..deltas import Delta, LowRank
from .low_rank import numerical_rank
from .method import MergeMethod, Parameter, Settings, SlotTerms, Term, Value
from .sparse import LAYER, MODEL, SCOPES, disjoint_mean, pruned
from .thresholds import threshold


def common_basis(changes: Sequence[LowRank]) -> Tensor:
    """U [out, k] of U diag(s) [V_1 | .. | V_N] = svd([dW_1 | .. | dW_N]), k its rank, at most sum r_i.

    Exact, through QR of the factors: [dW_1 | ..] = [B_1 ..] diag(A_1, ..), and the rows of the A_i meet no
    other columns, so only a core of sum r_i square is decomposed, in float64. Singular values under 1e-5 of
    the largest are dropped (the published code: under 1e-5 itself, whatever the size of the LoRAs).
    """
    q, r = torch.linalg.qr(torch.cat([change.up.float() * change.scale for change in changes], dim=1))
    cores = [torch.linalg.qr(change.down.float().T).R.double().T for change in changes]
    u, s, _ = torch.linalg.svd(r.double() @ torch.block_diag(*cores), full_matrices=False)
    return q @ u[:, : max(1, numerical_rank(s))].float()


def coordinates(basis: Tensor, change: LowRank) -> LowRank:
    """Z_i = diag(s) V_i = U^T dW_i [k, n], as factors (U^T B_i) [k, r_i] and A_i [r_i, n]."""
    return LowRank((basis.T @ change.up) * change.scale, change.down)


def merge_coordinates(z: Sequence[Tensor], weights: Tensor, limits: Sequence[float]) -> Tensor:
    """TIES on the coordinates: ``z`` N matrices [k, n], each pruned at its own limit -> [k, n]."""
    stack = torch.stack([pruned(entries, limit) for entries, limit in zip(z, limits, strict=True)])
    return disjoint_mean(stack, weights)


def _signed(term: Term) -> LowRank:
    # A LoRA of negative weight is turned round before signs are elected.
    change = term.factors()
    return LowRank(change.up, change.down, -change.scale if term.weight < 0 else change.scale)


def _prepare(
    terms: SlotTerms, values: Mapping[str, Value], done: Callable[[], None]
) -> dict[int, float] | None:
    """Each LoRA's threshold over the coordinates of all slots, by its number; None for one in each layer."""
    if values["scope"] == LAYER:
        return None
    found: dict[int, list[Delta]] = defaultdict(list)
    for slot_terms in terms.values():
        changes = [_signed(term) for term in slot_terms]
        basis = common_basis(changes)
        for term, change in zip(slot_terms, changes, strict=True):
            z = coordinates(basis, change)
            # Kept for all slots at once, so with the LoRA's own tensor where there is one, not with a copy.
            own = term.delta.down if isinstance(term.delta, LowRank) else z.down
            found[term.lora].append(LowRank(z.up, own, z.scale))
            done()
    density, device = float(values["density"]), next(iter(terms.values()))[0].device
    return {lora: threshold(z, density, done, device) for lora, z in found.items()}


def _merge(terms: Sequence[Term], settings: Settings) -> LowRank:
    changes = [_signed(term) for term in terms]
    basis = common_basis(changes)
    z = [coordinates(basis, change) for change in changes]
    if settings.evidence is None:
        density = float(settings.values["density"])
        limits = [
            threshold([entries], density, None, term.device) for entries, term in zip(z, terms, strict=True)
        ]
    else:
        limits = [settings.evidence[term.lora] for term in terms]
    weights = torch.tensor([abs(term.weight) for term in terms], device=terms[0].device)
    dense = [(entries.up @ entries.down) * entries.scale for entries in z]
    return LowRank(basis, merge_coordinates(dense, weights, limits))


METHODS = (
    MergeMethod(
        "knots",
        "KnOTS",
        "KnOTS with TIES, arXiv 2410.19735",
        _merge,
        (
            Parameter("density", 0.2, "share of each LoRA's coordinates that is kept: the largest", 0.0, 1.0),
            Parameter(
                "scope",
                MODEL,
                "whether the largest coordinates are found over the whole LoRA or in each layer",
                choices=SCOPES,
            ),
        ),
        _prepare,
        passes=2,
    ),
)
