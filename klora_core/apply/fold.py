"""Adding a delta to the weight of a layer for one call: y = (W + dW) x.

The same sum as y = W x + dW x, bracketed the other way. Its work does not grow with the tokens, so that with
more tokens than the weight has columns it is the cheaper way: a ninth of the time on SD1.5's widest maps.
In float32 alone: W + dW rounded to 16 bits would lose small deltas.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..deltas import Additive, Dense, Hadamard, Kron, LowRank
from .additions import chains, tiles
from .kron_steps import KronSteps
from .targets import HostRules

# By multiplications alone 1. Timed on a CPU, the two ways break even at 1.6 for 1280 x 1280.
_MARGIN = 2
# A Kronecker product's entry takes one multiplication, but several passes over memory: as many
# multiplications of a token's as this, timed on a CPU.
_PASSES = 32


def can_fold(module: Any, delta: Additive, rules: HostRules) -> bool:
    """Whether ``module`` is a plain layer in float32, with no ``forward`` of others on the instance."""
    mine, usual = module.__dict__.get("forward"), type(module).forward
    if usual not in rules.plain_forwards or not (mine is None or getattr(mine, "__func__", None) is usual):
        return False
    # A parametrised layer has its weight elsewhere.
    weight = module._parameters.get("weight")
    floats = {tensor.dtype for tensor in delta.tensors if tensor.is_floating_point()}
    return weight is not None and {weight.dtype} | floats == {torch.float32}


def least_tokens(delta: Additive) -> float:
    """From how many tokens on making dW, once, is less work than adding it beside, for each token."""
    out, n = delta.shape
    if isinstance(delta, LowRank):
        return _MARGIN * n * out / (n + out)
    if isinstance(delta, Kron):
        return _PASSES * n * out / KronSteps(delta).work
    if isinstance(delta, Hadamard) and chains(delta):
        r1, r2 = delta.down1.shape[0], delta.down2.shape[0]
        return _MARGIN * (r1 + r2) * n * out / (r1 * r2 * (n + out))
    return _MARGIN


class Fold:
    """The delta of a whole layer."""

    def __init__(self, module: Any, delta: Additive, rules: HostRules) -> None:
        self._delta = delta
        self._convolves = hasattr(module, "kernel_size")
        self._as_it_lies = rules.as_it_lies
        in_one = isinstance(delta, (LowRank, Dense)) or (self._convolves and module.groups != 1)
        self._tiles = None if in_one else tiles(delta)
        # Elements of x: a convolution makes one output from the pixels of a stride.
        elements = module.in_channels * prod(module.stride) if self._convolves else delta.shape[1]
        self._least = least_tokens(delta) * elements

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
        delta = self._delta
        if self._tiles is None:
            return self._product(module, x, self.weight(module), module.bias)
        dim, output = 1 if self._convolves else -1, None
        for rows, tile in self._tiles():
            bias = None if module.bias is None else module.bias.narrow(0, *rows)
            part = self._product(module, x, self.weight(module, rows, tile), bias)
            if rows[1] == delta.shape[0]:
                return part
            if output is None:
                shape = list(part.shape)
                shape[dim] = delta.shape[0]
                output = part.new_empty(shape)
            output.narrow(dim, *rows).copy_(part)
        assert output is not None, "a weight has rows"
        return output

    def _product(self, module: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return module._conv_forward(x, weight, bias) if self._convolves else F.linear(x, weight, bias)

    def weight(self, module: Any, rows: tuple[int, int] | None = None, tile: Tensor | None = None) -> Tensor:
        """W + dW, a new tensor; or the ``rows`` of it, in the place of ``tile``, these rows of dW."""
        own, delta = module._parameters["weight"], self._delta
        if isinstance(delta, LowRank):
            return torch.addmm(own.flatten(1), delta.up, delta.down).view(own.shape)
        if isinstance(delta, Dense):
            return own + delta.weight.view(own.shape)
        own = own if rows is None else own.narrow(0, *rows)
        return (delta.product() if tile is None else tile).view(own.shape).add_(own)
