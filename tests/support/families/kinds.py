"""LoRA files of every adapter kind for a network's layers, in the names of LyCORIS, with random tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

PREFIX = "diffusion_model."
RANK = 3
Tensors = dict[str, torch.Tensor]


def of_kind(kind: str, model: Any, layers: list[str], seed: int) -> Tensors:
    """A file that changes every layer by one kind of adapter."""
    generator = torch.Generator().manual_seed(seed)
    made: Tensors = {}
    for layer in layers:
        weight = model.get_parameter(f"{PREFIX}{layer}.weight")
        for name, tensor in KINDS[kind](weight.detach().float(), generator).items():
            made[f"{PREFIX}{layer}.{name}"] = tensor
    return made


def _pair(
    out: int, inputs: int, generator: torch.Generator, size: float
) -> tuple[torch.Tensor, torch.Tensor]:
    loud = size * float(torch.randn((), generator=generator).exp())
    up = torch.randn(out, RANK, generator=generator) * loud / (RANK * inputs) ** 0.5
    return up, torch.randn(RANK, inputs, generator=generator)


def _lora(weight: torch.Tensor, generator: torch.Generator) -> Tensors:
    up, down = _pair(weight.shape[0], weight[0].numel(), generator, 0.4)
    ones = (1,) * (weight.ndim - 2)
    return {
        "lora_up.weight": up.view(-1, RANK, *ones),
        "lora_down.weight": down.view(RANK, *weight.shape[1:]),
        "alpha": torch.tensor(2.0),
    }


def _loha(weight: torch.Tensor, generator: torch.Generator) -> Tensors:
    (up1, down1), (up2, down2) = (
        _pair(weight.shape[0], weight[0].numel(), generator, size) for size in (0.6, 3.0)
    )
    factors = {"w1_a": up1, "w1_b": down1, "w2_a": up2, "w2_b": down2}
    return {f"hada_{name}": tensor for name, tensor in factors.items()}


def _lokr(weight: torch.Tensor, generator: torch.Generator) -> Tensors:
    out, inputs = weight.shape[0], weight[0].numel()
    m, n = math.gcd(out, 4), math.gcd(weight.shape[1], 4)
    w1 = torch.randn(m, n, generator=generator)
    w2 = torch.randn(out // m, inputs // n, generator=generator) * 0.3 / inputs**0.5
    return {"lokr_w1": w1, "lokr_w2": w2.view(out // m, weight.shape[1] // n, *weight.shape[2:])}


def _full(weight: torch.Tensor, generator: torch.Generator) -> Tensors:
    return {"diff": torch.randn(weight.shape, generator=generator) * 0.2 / weight[0].numel() ** 0.5}


def _dora(weight: torch.Tensor, generator: torch.Generator) -> Tensors:
    lengths = weight.flatten(1).norm(dim=1)
    scale = lengths * (1 + 0.2 * torch.randn(lengths.shape, generator=generator))
    return {**_lora(weight, generator), "dora_scale": scale.view(-1, *(1,) * (weight.ndim - 1))}


def _oft(weight: torch.Tensor, generator: torch.Generator) -> Tensors:
    blocks = math.gcd(weight.shape[0], 4)
    size = weight.shape[0] // blocks
    return {"oft_blocks": torch.randn(blocks, size, size, generator=generator) * 0.2 / size**0.5}


def _glora(weight: torch.Tensor, generator: torch.Generator) -> Tensors:
    out, inputs = weight.shape[0], weight[0].numel()
    (b2, b1), (a2, a1) = _pair(out, inputs, generator, 0.3), _pair(inputs, inputs, generator, 0.3)
    return {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2}


KINDS: dict[str, Callable[[torch.Tensor, torch.Generator], Tensors]] = {
    "LoRA": _lora,
    "LoHa": _loha,
    "LoKr": _lokr,
    "whole matrices": _full,
    "DoRA": _dora,
    "OFT": _oft,
    "GLoRA": _glora,
}
