"""NP-LoRA (arXiv 2511.11051): the subject is kept out of the inputs that the style looks at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..deltas import LowRank
from ..loras import STYLE, SUBJECT
from .low_rank import input_space
from .method import MergeMethod, Parameter, Settings, Term
from .sums import concatenation


def project_softly(change: LowRank, q: Tensor, mu: float) -> LowRank:
    """dW_c (I - mu / (1 + mu) Q Q^T): only ``down`` changes. ``q`` [n, k] with orthonormal columns.

    mu = 0 leaves dW_c as it is; mu towards infinity takes everything inside the span of Q away.
    """
    share = mu / (1 + mu)
    return LowRank(change.up, change.down - share * (change.down @ q) @ q.T, change.scale)


def np_lora(
    subjects: Sequence[LowRank], styles: Sequence[LowRank], others: Sequence[LowRank], mu: float
) -> LowRank:
    """dW = dW_s + dW_c (I - mu / (1 + mu) Q Q^T), Q an orthonormal basis of the style's input subspace.

    Shapes: each change [out, n] with its strength in it; the result has the sum of their ranks. The paper
    has one subject and one style. Here several styles are summed and Q spans the inputs of all of them
    together, each subject is projected off it, and others are added as they are.
    Q comes from dW_s, not from A_s alone: the same span wherever B_s has full column rank, but a style
    that is zero in a layer takes nothing from the subject there.
    """
    if styles and subjects:
        # Each style's own space first: where two share a direction, the joint basis has it once, and a weak
        # style's inputs are not lost beside a strong one's.
        spaces = torch.cat([input_space(style) for style in styles], dim=1)
        q = (
            input_space(LowRank(torch.eye(spaces.shape[1]).to(spaces), spaces.T))
            if len(styles) > 1
            else spaces
        )
        subjects = [project_softly(subject, q, mu) for subject in subjects]
    return concatenation([*subjects, *styles, *others])


def _merge(terms: Sequence[Term], settings: Settings) -> LowRank:
    changes = [(term.role, term.weighted()) for term in terms]
    return np_lora(
        [change for role, change in changes if role == SUBJECT],
        [change for role, change in changes if role == STYLE],
        [change for role, change in changes if role not in (SUBJECT, STYLE)],
        float(settings.values["mu"]),
    )


METHODS = (
    MergeMethod(
        "np-lora",
        "NP-LoRA",
        "NP-LoRA, arXiv 2511.11051",
        _merge,
        (
            Parameter(
                "mu",
                0.5,
                "how firmly the subject is kept out of the style's inputs: 0 is the plain sum",
                low=0.0,
                high=1e6,
            ),
        ),
    ),
)
