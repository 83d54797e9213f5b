"""UnZipLoRA (Liu et al., arXiv 2412.04465): a subject's and a style's LoRA of one picture.

    y = W x + (B_c A_c x_c) m_c k_c + (B_s A_s x_s) m_s k_s

c is the content, s the style. Where text enters, x_c and x_s are what the layer sees of a prompt of its own;
elsewhere they are x. m in [0, 1]^out is learned, k in {0, 1}^out says which outputs a half has at all: it
gains some at the first step of each period. An output of a layer is a "column" in the paper, whose matrices
lie on their sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

CONTENT, STYLE = "content", "style"
HALVES = (CONTENT, STYLE)
# Defaults of a training, and the weight of the overlap in its loss.
STEPS, PERIODS, RANK, RATE, MASK_RATE, OVERLAP = 600, 3, 64, 5e-5, 5e-3, 0.5
# An entry counts from here on; a half gains one output in so many.
COUNTS, ONE_IN = 1e-5, 10
# SDXL's up_blocks.0.attentions.0 to .2 and up_blocks.1.attentions.0 to .2 of diffusers, by ComfyUI's numbers.
_SDXL = {
    "output_blocks.0.": CONTENT,
    "output_blocks.1.": STYLE,
    "output_blocks.2.": CONTENT,
    "output_blocks.3.": STYLE,
    "output_blocks.4.": STYLE,
    "output_blocks.5.": STYLE,
}


def owner(weight: str) -> str | None:
    """The half that has all outputs of an SDXL layer, by its block; None where both have to earn them."""
    return next((half for head, half in _SDXL.items() if weight.startswith(head)), None)


def period_starts(steps: int, periods: int = PERIODS) -> frozenset[int]:
    """The first steps of the periods, counted from 0."""
    return frozenset(period * steps // periods for period in range(periods))


@dataclass(frozen=True, eq=False)
class Columns:
    """What a half has of a layer's outputs: ``learned`` is m [out], ``mask`` k [out] of 0 and 1."""

    learned: Tensor
    mask: Tensor

    @property
    def whole(self) -> Tensor:
        """m k, what the half's change is multiplied by, output by output."""
        return self.learned * self.mask


def overlap(pairs: Sequence[tuple[Columns, Columns]]) -> Tensor:
    """mean_l mean_j |m_c k_c m_s k_s|: how much both halves have of the same outputs, 0 where of none."""
    means = [(content.whole * style.whole).abs().mean() for content, style in pairs]
    return reduce(torch.add, means) / len(means)


def column_scores(change: Tensor, gradient: Tensor) -> Tensor:
    """For each output j [out] the share of its entries with |dW * grad dW| > 1e-5, of dW [out, in]."""
    return ((change * gradient).abs() > COUNTS).double().mean(dim=1)


def grown(masks: Sequence[Tensor], scores: Sequence[Tensor], whole: str | None = None) -> tuple[Tensor, ...]:
    """(k_c, k_s) at the end of a period's first step: each with its best tenth of the outputs added.

    The style's are the best of those that the content does not have. Where one half has all outputs, see
    :func:`owner`, the other's are the best of all.
    """
    count = max(1, len(masks[0]) // ONE_IN)
    if whole is not None:
        every = torch.ones_like(masks[0])
        return tuple(
            every if half == whole else _with_best(mask, score, count)
            for half, mask, score in zip(HALVES, masks, scores, strict=True)
        )
    content = _with_best(masks[0], scores[0], count)
    free = scores[1].masked_fill(content > 0, -1.0)
    return content, _with_best(masks[1], free, count)


def _with_best(mask: Tensor, score: Tensor, count: int) -> Tensor:
    """The mask with the ``count`` best outputs added; none of a negative score. Of equals the first."""
    best = score.sort(descending=True, stable=True).indices[:count]
    added = torch.zeros_like(mask).index_fill_(0, best, 1)
    return torch.maximum(mask, added * (score >= 0))


def folded(up: Tensor, columns: Iterable[Tensor]) -> Tensor:
    """B with its rows multiplied by m and by k [out, r]: adding both halves is the training's forward."""
    return reduce(lambda rows, column: rows * column.to(rows).unsqueeze(1), columns, up)
