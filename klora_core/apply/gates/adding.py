"""y += up (f(z) * z), z = down x, for linear and convolution layers, without [tokens, N out]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...deltas import Gated
from ...errors import KLoraError
from ..additions import Add, add_product, convolve
from ..targets import Span

Hear = Callable[[Tensor], None]
"""Told the share of each part in one call, [B, T or 1, count]."""


def unheard(shares: Tensor) -> None:
    """Nobody keeps it."""


def gated_addition(module: Any, delta: Gated, rows: Span, hear: Hear) -> Add:
    """How ``delta`` is added to a linear or convolution ``module``; ``rows`` (start, length) of its output.

    What is a batch row is the first dimension of the layer's input; all others but the channels are tokens.
    Raises KLoraError for a grouped convolution, whose ranks belong to no input alone.
    """
    if hasattr(module, "kernel_size"):
        if module.groups != 1:
            raise KLoraError(
                "it is a grouped convolution, where no gate can work.",
                "Use LoRAs that leave this layer alone",
            )
        return _convolution(delta, rows, hear)
    return _linear(delta, rows, hear)


def _linear(delta: Gated, rows: Span, hear: Hear) -> Add:
    up, down, gate = delta.up, delta.down, delta.gate
    rank, dtype = delta.rank, delta.down.dtype

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        z = F.linear(x.to(dtype), down)
        if z.numel() == 0:
            return
        z = z.reshape(z.shape[0] if z.ndim > 1 else 1, -1, z.shape[-1])
        factors, shares = gate(z.float())
        hear(shares)
        add_product(output, rows, (z[..., :rank] * factors.to(dtype)).reshape(-1, rank), up)

    return add


def _convolution(delta: Gated, rows: Span, hear: Hear) -> Add:
    up, down, gate = delta.up, delta.down, delta.gate
    rank, dtype = delta.rank, delta.down.dtype

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        z = convolve(module, x.to(dtype), down)
        if z.numel() == 0:
            return
        places = z.shape[2:]
        z = z.flatten(2).transpose(1, 2)
        factors, shares = gate(z.float())
        hear(shares)
        change = torch.einsum("btr,or->bot", z[..., :rank] * factors.to(dtype), up).unflatten(2, places)
        target = output if rows is None else output.narrow(1, *rows)
        target += change.to(target.dtype)

    return add
