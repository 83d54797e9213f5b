"""What one form of a target does in a call of its layer: it is added, scales the input, or is folded in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..deltas import Delta, Gated, Remapped
from .additions import Add, addition
from .fold import Fold, can_fold
from .gates import Hear, gated_addition, unheard
from .remapping import Remapping
from .targets import HostRules, Span


@dataclass(frozen=True, eq=False)
class Form:
    """``add`` changes the layer's output, after ``input_factor``, if any, has multiplied its input.

    Where there is a ``fold`` it may do the whole call instead: whole layers that are left to themselves.
    """

    add: Add
    input_factor: Callable[[Any, Tensor], Tensor] | None = None
    fold: Fold | None = None


def form_on(
    module: Any,
    delta: Delta,
    rows: Span,
    rules: HostRules,
    alone: bool,
    compiled: bool,
    hear: Hear = unheard,
) -> Form:
    """The form whose buffers are ``delta``, on the ``rows`` of a linear or convolution ``module``.

    ``alone``: no change that depends on the layer's output was put on these rows before. What torch.compile
    runs is not folded. ``hear`` is told what a gate gives.
    """
    if isinstance(delta, Gated):
        # Never folded: it is another matrix for each token.
        return Form(gated_addition(module, delta, rows, hear))
    if isinstance(delta, Remapped):
        inner = None if delta.inner is None else addition(module, delta.inner, rows)
        remapping = Remapping(delta, rows, inner, rules, alone, compiled)
        # Never folded: what depends on the weight is less work on the layer's output.
        return Form(remapping.add, remapping.input_factor if remapping.scales_input else None)
    folds = rows is None and not compiled and can_fold(module, delta, rules)
    return Form(addition(module, delta, rows), fold=Fold(module, delta, rules) if folds else None)
