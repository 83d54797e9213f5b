"""The loser beside the winner, where the winner does not look: an extension of K-LoRA, not in its paper.

K-LoRA decides who leads a slot. The other LoRA then adds what it does on inputs that the leader's factors do
not read: down' = A_l (I - Q Q^T), Q from a QR of A_w^T, times a strength.
"""

from __future__ import annotations

import torch

from ..deltas import Delta, LowRank, project_off_inputs


def beside(winner: Delta | None, loser: Delta | None, strength: float) -> Delta | None:
    """``winner`` + ``strength`` * ``loser`` (I - Q Q^T), of rank r_w + r_l.

    ``winner`` as it is where one of them is absent or not of low rank (LoKr, LoHa, a whole matrix), and at
    strength 0.
    """
    if not (strength and isinstance(winner, LowRank) and isinstance(loser, LowRank)):
        return winner
    outside = project_off_inputs(loser, winner).scaled(strength)
    # The scales go into the float32 down, so that ups keep the file's dtype and size.
    return LowRank(_joined(winner, outside), torch.cat([_down(winner), _down(outside)]))


def _joined(one: LowRank, other: LowRank) -> torch.Tensor:
    return (
        torch.cat([one.up, other.up], 1)
        if one.up.dtype == other.up.dtype
        else torch.cat([one.up.float(), other.up.float()], 1)
    )


def _down(delta: LowRank) -> torch.Tensor:
    return delta.down.float() * delta.scale
