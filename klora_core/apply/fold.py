"""Adding a delta to the weight of a layer for one call: y = (W + dW) x.

The same sum as y = W x + dW x, bracketed the other way. Its work does not grow with the tokens, so that with
more tokens than the weight has columns it is the cheaper way: a ninth of the time on SD1.5's widest maps.
In float32 alone: W + dW rounded to 16 bits would lose small deltas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..deltas import Delta, Dense, LowRank

# By multiplications alone 1. Timed on a CPU, the two ways break even at 1.6 for 1280 x 1280.
_MARGIN = 2


def _always(module: Any) -> bool:
    return True


@dataclass(frozen=True)
class HostRules:
    """What a host has to say about the layers of its models.

    ``plain_forwards``: the ``forward`` functions, of classes, that do no more than weight and bias do; only
    layers that run one of them are folded, none by default. ``as_it_lies``: whether a layer would use its
    weight in this call just as it is stored, neither cast, moved nor patched on its way into the product.
    """

    plain_forwards: frozenset[Callable[..., Any]] = frozenset()
    as_it_lies: Callable[[Any], bool] = _always


def can_fold(module: Any, delta: Delta, rules: HostRules) -> bool:
    """Whether ``module`` is a plain layer in float32, with no ``forward`` of others on the instance."""
    mine, usual = module.__dict__.get("forward"), type(module).forward
    if usual not in rules.plain_forwards or not (mine is None or getattr(mine, "__func__", None) is usual):
        return False
    # A parametrised layer has its weight elsewhere.
    weight = module._parameters.get("weight")
    floats = {tensor.dtype for tensor in delta.tensors if tensor.is_floating_point()}
    return (
        isinstance(delta, (LowRank, Dense))
        and weight is not None
        and {weight.dtype} | floats == {torch.float32}
    )


class Fold:
    """The delta of a whole layer, low-rank or dense."""

    def __init__(self, module: Any, delta: Delta, rules: HostRules) -> None:
        self._up, self._first = (delta.tensors[0] if len(delta.tensors) == 2 else None), delta.tensors[-1]
        self._convolves = hasattr(module, "kernel_size")
        self._as_it_lies = rules.as_it_lies
        out, n = delta.shape
        tokens = _MARGIN if self._up is None else _MARGIN * n * out / (n + out)
        # Elements of x: a convolution makes one output from the pixels of a stride.
        self._least = tokens * (module.in_channels * prod(module.stride) if self._convolves else n)

    def pays(self, module: Any, x: Tensor) -> bool:
        """Whether folding costs less for ``x``, and the layer would use its weight as it lies there."""
        return (
            x.numel() >= self._least
            and x.dtype is torch.float32
            and self._as_it_lies(module)
            and module._parameters["weight"].device == x.device
        )

    def __call__(self, module: Any, x: Tensor) -> Tensor:
        """The layer's output with the delta in it."""
        weight = self.weight(module)
        if self._convolves:
            return module._conv_forward(x, weight, module.bias)
        return F.linear(x, weight, module.bias)

    def weight(self, module: Any) -> Tensor:
        """W + dW, a new tensor."""
        own = module._parameters["weight"]
        if self._up is None:
            return own + self._first.view(own.shape)
        if self._convolves:
            return torch.addmm(own.flatten(1), self._up, self._first).view(own.shape)
        return torch.addmm(own, self._up, self._first)
