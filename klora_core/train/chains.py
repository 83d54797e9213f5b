"""dW x from two factors, with gradients, in linear and convolution layers.

What a layer reads becomes ``rank`` numbers a token, last in the tensor, and these become what is added to its
output: whoever weighs ranks does it in between.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def inner(module: Any, x: Tensor, down: Tensor) -> Tensor:
    """z = A x, [..., r], for ``down`` A [r, n] on the input ``x`` of a linear or convolution ``module``.

    A convolution's kernel lies flat in n; its own stride, padding and dilation hold. A grouped one has no
    such numbers: use :func:`added`.
    """
    if not is_convolution(module):
        return F.linear(x, down.to(x.dtype))
    return _convolve(module, x, down).movedim(1, -1)


def outer(module: Any, z: Tensor, up: Tensor) -> Tensor:
    """B z laid out as the output of ``module``, for ``up`` B [out, r] and z [..., r]."""
    y = F.linear(z, up.to(z.dtype))
    return y.movedim(-1, 1) if is_convolution(module) else y


def added(module: Any, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """B A x laid out as the output of ``module``."""
    if is_convolution(module) and module.groups != 1:
        # Each group reads its own channels, so that factors can't be chained; such kernels are small.
        return _convolve(module, x, up @ down)
    return outer(module, inner(module, x, down), up)


def is_convolution(module: Any) -> bool:
    """Whether a layer's features are its output's second dimension."""
    return hasattr(module, "kernel_size")


def _convolve(module: Any, x: Tensor, flat: Tensor) -> Tensor:
    weight = flat.to(x.dtype).view(flat.shape[0], -1, *module.kernel_size)
    return module._conv_forward(x, weight, None)


def features(module: Any) -> int:
    """The dimension of a layer's output that its features are."""
    return 1 if is_convolution(module) else -1


def narrowed(module: Any, y: Tensor, part: tuple[int, int] | None) -> Tensor:
    """Some of the features (start, length) of what is added, None for all."""
    return y if part is None else torch.narrow(y, features(module), *part)
