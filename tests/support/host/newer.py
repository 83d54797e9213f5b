"""A stand-in for a newer host: Z-Image's qkv and whole feed-forward computed past their layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from comfy.quant_ops import QuantizedTensor


def leaves_alone(linear: Any) -> bool:
    """What such a host looks at, before it takes a layer's weight for itself."""
    return bool(
        not isinstance(linear.weight, QuantizedTensor)
        or getattr(linear, "comfy_force_cast_weights", False)
        or linear.weight_function
        or linear.bias_function
    )


@contextmanager
def fusing(model: Any, looks: bool = True, until: int | None = None) -> Iterator[list[str]]:
    """Let a Z-Image network compute that way; gives what was computed past its layers, by name.

    ``looks``: whether it leaves layers alone that have to be cast. From call ``until`` of a layer on it does
    no such thing any more.
    """
    past: list[str] = []
    put_back = []

    def goes_past(name: str, *linears: Any) -> bool:
        if (looks and any(map(leaves_alone, linears))) or (until is not None and past.count(name) >= until):
            return False
        past.append(name)
        return True

    for name, module in model.model.diffusion_model.named_modules():
        if name.endswith("attention.qkv"):
            module.__class__ = _called_by(type(module), name, goes_past)
            put_back.append((module, "__class__", type(module).__base__))
        elif name.endswith("feed_forward"):
            module.forward = _whole(module, name, goes_past)
            put_back.append((module, "forward", None))
    try:
        yield past
    finally:
        for module, attribute, before in put_back:
            if before is None:
                delattr(module, attribute)
            else:
                setattr(module, attribute, before)


def product(linear: Any, x: torch.Tensor) -> torch.Tensor:
    weight = linear.weight.dequantize() if isinstance(linear.weight, QuantizedTensor) else linear.weight
    return F.linear(x, weight.to(x.dtype), linear.bias)


def _called_by(kind: type, name: str, goes_past: Any) -> type:
    class Past(kind):
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return product(self, x) if goes_past(name, self) else super().__call__(x)

    return Past


def _whole(module: Any, name: str, goes_past: Any) -> Any:
    usual = module.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        w1, w2, w3 = module.w1, module.w2, module.w3
        if not goes_past(name, w1, w2, w3):
            return usual(x)
        return product(w2, F.silu(product(w1, x)) * product(w3, x))

    return forward
