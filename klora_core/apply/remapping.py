"""y += dW x for changes that depend on the layer's weight: by its output W x, never by W.

With y0 = W x, the layer's output without its bias, dW x = (L - 1)(y0 + D x) + D x for a map L of outputs, and
W (C - 1) x + D C x for a map C of inputs. The latter takes the layer itself once more; or, where the change
is the only one of its kind on the whole layer, C is put on its input and nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..deltas import Remapped
from .targets import HostRules, Span


class Remapping:
    """``delta`` on the ``rows`` of a linear or convolution ``module``; a layer's hooks are for one run.

    ``add_inner`` adds D x to an output. ``alone``: no other change of this kind has touched these rows of the
    output before. ``compiled``: nothing may be kept from call to call.
    """

    def __init__(
        self,
        delta: Remapped,
        rows: Span,
        add_inner: Callable[[Any, Tensor, Tensor], None] | None,
        rules: HostRules,
        alone: bool,
        compiled: bool,
    ) -> None:
        self._delta, self._rows, self._add_inner = delta, rows, add_inner
        self._rules, self._alone, self._compiled = rules, alone, compiled
        self._bias: Tensor | None = None
        self.scales_input = delta.columns is not None and alone and rows is None

    def input_factor(self, module: Any, x: Tensor) -> Tensor:
        """1 + scale (C - 1) for the layer's input; 1 where the change is not shown."""
        return 1 + self._delta.parts[0].to(x.dtype) * self._columns(module, x)

    def add(self, module: Any, x: Tensor, output: Tensor) -> None:
        """Change ``output``, what the layer made of ``x``; with ``scales_input``, of its scaled input."""
        delta, rows = self._delta, self._rows
        dim = 1 if hasattr(module, "kernel_size") else -1
        target = output if rows is None else output.narrow(dim, *rows)
        change = self._additive(module, x, output, dim)
        if delta.left is None:
            if change is not None:
                target += change
            return
        own = self._without_bias(module, x, target, dim) * delta.parts[0].to(target.dtype)
        whole = own if change is None else own + change
        turned = delta.left.less_one(whole.movedim(dim, -1).to(delta.parts.dtype)).movedim(-1, dim)
        target += turned.to(target.dtype)
        if change is not None:
            target += change

    def _additive(self, module: Any, x: Tensor, output: Tensor, dim: int) -> Tensor | None:
        """scale (W (C - 1) x + D C x), as far as these are there and not in the output already."""
        delta, made = self._delta, None
        if delta.columns is not None:
            less_one = self._columns(module, x)
            if not self.scales_input:
                made = self._plain(module, x * less_one, dim) * delta.parts[0].to(output.dtype)
            x = x * (1 + less_one)
        if self._add_inner is not None:
            inner = torch.zeros_like(output)
            self._add_inner(module, x, inner)
            inner = self._narrowed(inner, dim) * delta.parts[1].to(output.dtype)
            made = inner if made is None else made + inner
        return made

    def _columns(self, module: Any, x: Tensor) -> Tensor:
        columns = self._delta.columns
        assert columns is not None
        columns = columns.to(x.dtype)
        if not hasattr(module, "kernel_size"):
            return columns
        # The groups of a convolution read channels of their own.
        columns = columns if module.groups == 1 else columns.repeat(module.groups)
        return columns.view(-1, *(1 for _ in module.kernel_size))

    def _narrowed(self, output: Tensor, dim: int) -> Tensor:
        return output if self._rows is None else output.narrow(dim, *self._rows)

    def _without_bias(self, module: Any, x: Tensor, target: Tensor, dim: int) -> Tensor:
        if not self._alone:
            return self._plain(module, x, dim)
        bias = self._bias_like(module, x, target)
        return target if bias is None else target - self._along(bias, target, dim)

    def _plain(self, module: Any, x: Tensor, dim: int) -> Tensor:
        """W x by the layer's class, whatever else is on the layer."""
        target = self._narrowed(type(module).forward(module, x), dim)
        bias = self._bias_like(module, x, target)
        return target if bias is None else target - self._along(bias, target, dim)

    def _bias_like(self, module: Any, x: Tensor, target: Tensor) -> Tensor | None:
        if module.bias is None:
            return None
        bias = self._bias
        if bias is None or bias.device != target.device:
            bias = self._rules.bias(module, x)
            bias = bias if self._rows is None else bias.narrow(0, *self._rows)
            # As the layer adds it, in its own precision.
            bias = bias.to(target.dtype)
            if not self._compiled:
                self._bias = bias
        return bias

    @staticmethod
    def _along(bias: Tensor, target: Tensor, dim: int) -> Tensor:
        return bias if dim == -1 else bias.view(-1, *(1 for _ in target.shape[2:]))
