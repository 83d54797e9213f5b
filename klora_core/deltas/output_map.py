"""Linear maps L of a layer's outputs, as L - 1: what OFT, BOFT and DoRA do to a weight's rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import KLoraError
from .scaled import Held


@dataclass(frozen=True, eq=False)
class OutputMap(Held):
    """L = diag(1 + gains) R: ``turns`` [m, k, b, b] rotate k blocks of b outputs, m times, less identity.

    ``butterfly``: the outputs are shuffled between the stages, as BOFT (arXiv 2311.06243) does; without it
    m is 1 (OFT, arXiv 2306.07280). ``gains`` [out] are row factors less 1 (DoRA, arXiv 2402.09353). Stored
    less identity, small numbers stay exact in 16 bits.
    """

    turns: Tensor | None = None
    gains: Tensor | None = None
    butterfly: bool = False

    held = ("turns", "gains")

    @property
    def form(self) -> tuple[bool, bool, bool]:
        """What tells maps of one build from others: whether turns and gains are there, and butterfly."""
        return self.turns is not None, self.gains is not None, self.butterfly

    def less_one(self, y: Tensor) -> Tensor:
        """(L - 1) y of ``y`` [..., out]."""
        moved: Tensor | None = None
        if self.turns is not None:
            moved = _butterfly(self.turns, y) if self.butterfly else _blocks(self.turns[0], y)
        if self.gains is None:
            assert moved is not None, "a map has turns or gains"
            return moved
        return y * self.gains if moved is None else (y + moved) * self.gains + moved

    def cover(self, start: int, length: int) -> tuple[int, int]:
        """(start, length) of the outputs that the outputs ``start .. start+length`` are made of."""
        if self.turns is None:
            return start, length
        if self.butterfly:
            return 0, self.turns.shape[1] * self.turns.shape[2]
        block = self.turns.shape[2]
        first, stop = start // block * block, -(-(start + length) // block) * block
        return first, stop - first

    def rows(self, start: int, length: int) -> OutputMap:
        """L of the outputs ``start .. start+length``. Raises KLoraError where it mixes them with others."""
        if self.cover(start, length) != (start, length):
            raise KLoraError(
                f"an OFT turns the rows {start} to {start + length} of a fused layer together with others, "
                "so that they can't compete one by one.",
                "Use LoRAs that are both fused or both split there",
            )
        gains = None if self.gains is None else self.gains.narrow(0, start, length)
        if self.turns is None or self.butterfly:
            return OutputMap(self.turns, gains, self.butterfly)
        block = self.turns.shape[2]
        return OutputMap(self.turns.narrow(1, start // block, length // block), gains)

    def reordered(self, order: Tensor) -> OutputMap:
        """L with output ``order[i]`` in the place of output i. Raises KLoraError for a rotation."""
        if self.turns is not None or self.gains is None:
            raise KLoraError(
                "an OFT of a layer whose rows lie in another order can't be used here.", "Use a plain LoRA"
            )
        return OutputMap(None, self.gains[order])


def _blocks(turns: Tensor, y: Tensor) -> Tensor:
    blocks, size, _ = turns.shape
    moved = torch.einsum("kmn,...kn->...km", turns, y.unflatten(-1, (blocks, size)))
    return moved.flatten(-2)


def _butterfly(turns: Tensor, y: Tensor) -> Tensor:
    """The stages one after the other; what they change is summed apart from ``y``, which is much larger."""
    half = turns.shape[-1] // 2
    moved = torch.zeros_like(y)
    for stage, turn in enumerate(turns):
        apart = half << stage
        moved = moved + _unshuffled(_blocks(turn, _shuffled(y + moved, apart)), apart)
    return moved


def _shuffled(y: Tensor, apart: int) -> Tensor:
    """Outputs that lie ``apart`` become neighbours."""
    return y.unflatten(-1, (-1, 2, apart)).transpose(-2, -1).flatten(-3)


def _unshuffled(y: Tensor, apart: int) -> Tensor:
    return y.unflatten(-1, (-1, apart, 2)).transpose(-2, -1).flatten(-3)


def cayley(blocks: Tensor, limit: float) -> Tensor:
    """R - 1 of R = (1 + Q)(1 - Q)^-1, Q = B - B^T, of ``blocks`` B [..., b, b], in float64.

    ``limit``: the largest ||Q||_F of all blocks together, 0 for none (constrained OFT).
    """
    exact = blocks.to(torch.float64)
    skew = exact - exact.transpose(-1, -2)
    if limit > 0 and (norm := float(skew.norm()) + 1e-8) > limit:
        skew = skew * (limit / norm)
    one = torch.eye(skew.shape[-1], dtype=torch.float64, device=skew.device)
    # (1 + Q)(1 - Q)^-1 - 1 = 2 Q (1 - Q)^-1, and the two factors commute.
    return 2 * torch.linalg.solve(one - skew, skew)
