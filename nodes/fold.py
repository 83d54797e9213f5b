"""Adding a lane's delta to the weight of a layer for one call: y = (W + up down) x.

The same sum as y = W x + up (down x), bracketed the other way. Its work does not grow with the tokens, so
that with more tokens than the weight has columns it is the cheaper way: a ninth of the time on SD1.5's
widest maps. In float32 alone: W + up down rounded to 16 bits would lose small deltas.
"""

from __future__ import annotations

from math import prod
from typing import Any

import comfy.ops
import torch
import torch.nn.functional as F
from torch import Tensor

_OPS = comfy.ops.disable_weight_init
_PLAIN = {kind.forward for kind in (_OPS.Linear, _OPS.Conv1d, _OPS.Conv2d, _OPS.Conv3d)}
# By multiplications alone 1. Timed on a CPU, the two ways break even at 1.6 for 1280 x 1280.
_MARGIN = 2


def can_fold(module: Any, buffers: tuple[Tensor, ...]) -> bool:
    """Whether ``module`` is the host's own kind of layer in float32, with no ``forward`` on the instance."""
    mine, usual = module.__dict__.get("forward"), type(module).forward
    if usual not in _PLAIN or not (mine is None or getattr(mine, "__func__", None) is usual):
        return False
    # A parametrised layer has its weight elsewhere.
    weight = module._parameters.get("weight")
    return weight is not None and weight.dtype is buffers[0].dtype is torch.float32


class Fold:
    """The delta of a whole layer. ``buffers`` are (up [out, r], down [r, n]) or (matrix [out, n],)."""

    def __init__(self, module: Any, buffers: tuple[Tensor, ...]) -> None:
        self._up, self._first = buffers[0] if len(buffers) == 2 else None, buffers[-1]
        self._convolves = hasattr(module, "kernel_size")
        out, n = buffers[0].shape[0], self._first.shape[1]
        tokens = _MARGIN if self._up is None else _MARGIN * n * out / (n + out)
        # Elements of x: a convolution makes one output from the pixels of a stride.
        self._least = tokens * (module.in_channels * prod(module.stride) if self._convolves else n)

    def pays(self, module: Any, x: Tensor) -> bool:
        """Whether folding costs less for ``x``, and the layer would use its weight as it lies there."""
        return (
            x.numel() >= self._least
            and x.dtype is torch.float32
            # The host casts, moves or patches this weight on its way into the product otherwise.
            and not (module.comfy_cast_weights or module.weight_function or module.bias_function)
            and module._parameters["weight"].device == x.device
        )

    def __call__(self, module: Any, x: Tensor) -> Tensor:
        """The layer's output with the delta in it."""
        weight = self.weight(module)
        if self._convolves:
            return module._conv_forward(x, weight, module.bias)
        return F.linear(x, weight, module.bias)

    def weight(self, module: Any) -> Tensor:
        """W + delta, a new tensor."""
        own = module._parameters["weight"]
        if self._up is None:
            return own + self._first.view(own.shape)
        if self._convolves:
            return torch.addmm(own.flatten(1), self._up, self._first).view(own.shape)
        return torch.addmm(own, self._up, self._first)
