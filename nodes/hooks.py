"""Adding a lane's delta to the output of a layer: y = base(x) + up(down(x)).

Forward hooks do it. Two cases need another door, a ``forward`` on the instance: layers whose weight may take
the delta instead (``fold``), and compiled models, since torch.compile does not notice hooks that come or go
after its first call.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .fold import Fold, can_fold

Add = Callable[[Any, Tensor, Tensor], None]
Forward = Callable[..., Tensor]


class Gate(Protocol):
    """Says whether the model call in progress is one of ours."""

    open: bool


class Handle(Protocol):
    """Takes off what was put on a module."""

    def remove(self) -> None: ...


def attach(
    module: Any, rows: tuple[int, int] | None, buffers: tuple[Tensor, ...], gate: Gate, compiled: bool
) -> Handle:
    """Make a linear or convolution ``module`` add a lane to its output while ``gate.open``.

    ``buffers`` are (up [out, r], down [r, n]) or (matrix [out, n],); ``rows`` is (start, length) of the
    output features or None. The output is changed in place: it is the layer's own fresh tensor.
    """
    make = _add_convolution if hasattr(module, "kernel_size") else _add_linear
    add = make(rows, buffers[0] if len(buffers) == 2 else None, buffers[-1])
    if compiled:
        inner = module.__dict__.get("forward")
        return _Swap(module, _over_class(add, gate) if inner is None else _over(inner, add, gate))
    if rows is None and can_fold(module, buffers):
        return _Swap(module, _folding(Fold(module, buffers), add, gate))
    return _hook(module, add, gate)


def _hook(module: Any, add: Add, gate: Gate) -> Handle:
    def hook(module: Any, args: tuple, output: Tensor) -> None:
        if gate.open:
            add(module, args[0], output)

    return module.register_forward_hook(hook)


class _Swap:
    """A ``forward`` on the instance, over the class's or over one that somebody else put there."""

    def __init__(self, module: Any, forward: Forward) -> None:
        self._module = module
        self._before = module.__dict__.get("forward")
        self._ours = module.forward = MethodType(forward, module)

    def remove(self) -> None:
        # Under somebody else's later swap ours has to stay; its gate is closed, so that it passes on.
        if self._module.__dict__.get("forward") is not self._ours:
            return
        if self._before is None:
            del self._module.forward
        else:
            self._module.forward = self._before


def _over_class(add: Add, gate: Gate) -> Forward:
    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output = type(self).forward(self, x, *args, **kwargs)
        if gate.open:
            add(self, x, output)
        return output

    return forward


def _over(inner: Forward, add: Add, gate: Gate) -> Forward:
    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output = inner(x, *args, **kwargs)
        if gate.open:
            add(self, x, output)
        return output

    return forward


def _folding(fold: Fold, add: Add, gate: Gate) -> Forward:
    beside = _over_class(add, gate)

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if gate.open and not args and not kwargs and fold.pays(self, x):
            return fold(self, x)
        return beside(self, x, *args, **kwargs)

    return forward


# The functions hold the parameters and make views of them anew: the host may move their storage.


def _add_linear(rows: tuple[int, int] | None, up: Tensor | None, first: Tensor) -> Add:
    dtype, n = first.dtype, first.shape[1]

    def add(module: Any, x: Tensor, output: Tensor) -> None:
        if x.dtype != dtype:
            x = x.to(dtype)
        left, right = x.reshape(-1, n), first
        if up is not None:
            left, right = F.linear(left, first), up
        if output.dtype == dtype and output.is_contiguous():
            flat = output.view(-1, output.shape[-1])
            (flat if rows is None else flat.narrow(1, *rows)).addmm_(left, right.t())
        else:
            target = output if rows is None else output.narrow(-1, *rows)
            target += torch.mm(left, right.t()).view(target.shape).to(target.dtype)

    return add


def _add_convolution(rows: tuple[int, int] | None, up: Tensor | None, first: Tensor) -> Add:
    def add(module: Any, x: Tensor, output: Tensor) -> None:
        kernel = first.view(first.shape[0], module.in_channels // module.groups, *module.kernel_size)
        # The module's own convolution keeps its stride, padding mode and dilation, also when changed later.
        change = module._conv_forward(x.to(first.dtype), kernel, None)
        if up is not None:
            change = torch.einsum("br...,or->bo...", change, up)
        target = output if rows is None else output.narrow(1, *rows)
        target += change.to(target.dtype)

    return add
