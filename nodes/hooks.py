"""Forward hooks that add a lane's delta to the output of a layer: y = base(x) + up(down(x))."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Hook = Callable[[Any, tuple, Tensor], None]


def hook_for(module: Any, rows: tuple[int, int] | None, buffers: tuple[Tensor, ...], gate: Any) -> Hook:
    """A forward hook for a linear or convolution ``module``; adds while ``gate.open``.

    ``buffers`` are (up [out, r], down [r, n]) or (matrix [out, n],). The output is changed in place: it is
    the layer's own fresh tensor.
    """
    make = _conv_hook if hasattr(module, "kernel_size") else _linear_hook
    return make(rows, buffers[0] if len(buffers) == 2 else None, buffers[-1], gate)


# The hooks hold the parameters and make views of them anew: the host may move their storage.


def _linear_hook(rows: tuple[int, int] | None, up: Tensor | None, first: Tensor, gate: Any) -> Hook:
    def hook(module: Any, args: tuple, output: Tensor) -> None:
        if not gate.open:
            return
        x = args[0]
        if x.dtype != first.dtype:
            x = x.to(first.dtype)
        if up is None:
            left, right = x.reshape(-1, x.shape[-1]), first
        else:
            left, right = F.linear(x, first).reshape(-1, first.shape[0]), up
        if output.dtype == first.dtype and output.is_contiguous():
            flat = output.view(-1, output.shape[-1])
            (flat if rows is None else flat.narrow(1, *rows)).addmm_(left, right.t())
        else:
            target = output if rows is None else output.narrow(-1, *rows)
            target += torch.mm(left, right.t()).view(target.shape).to(target.dtype)

    return hook


def _conv_hook(rows: tuple[int, int] | None, up: Tensor | None, first: Tensor, gate: Any) -> Hook:
    def hook(module: Any, args: tuple, output: Tensor) -> None:
        if not gate.open:
            return
        kernel = first.view(first.shape[0], module.in_channels // module.groups, *module.kernel_size)
        # The module's own convolution keeps its stride, padding mode and dilation, also when changed later.
        change = module._conv_forward(args[0].to(first.dtype), kernel, None)
        if up is not None:
            change = torch.einsum("br...,or->bo...", change, up)
        target = output if rows is None else output.narrow(1, *rows)
        target += change.to(target.dtype)

    return hook
