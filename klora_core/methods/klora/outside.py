"""The loser beside the winner, where the winner does not look: an extension of K-LoRA, not in its paper.

K-LoRA decides who leads a slot. The other LoRA then adds what it does on inputs that the leader's factors do
not read: down' = A_l (I - Q Q^T), Q from a QR of A_w^T, times a strength.
"""

from __future__ import annotations

import torch

from ...deltas import Delta, Digests, LowRank, SharedInputs, project_off_inputs

# Outlives the calls by design: turning a dial must not work it out again. Room for an SDXL pair of rank 128.
SHARED = SharedInputs(1 << 28)


def beside(
    one: Delta | None, other: Delta | None, strength: float, memory: Digests | None = None
) -> tuple[Delta | None, Delta | None]:
    """(``one`` as the winner with the other beside it, ``other`` with the one), of rank r_w + r_l.

    A winner is winner + ``strength`` * loser (I - Q Q^T). Both are as they are where one of them is absent or
    not of low rank (LoKr, LoHa, DoRA, OFT, a whole matrix), and at strength 0.
    """
    if not (strength and isinstance(one, LowRank) and isinstance(other, LowRank)):
        return one, other
    of_one, of_other = SHARED.both(one.down, other.down, memory)
    return (
        _sum(one, project_off_inputs(other, one, of_other).scaled(strength)),
        _sum(other, project_off_inputs(one, other, of_one).scaled(strength)),
    )


def _sum(winner: LowRank, outside: LowRank) -> LowRank:
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
