"""What published training methods save, in the very names that their code writes, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Shapes = Mapping[str, tuple[int, int]]
"""[out, in] of linear layers, by the names that diffusers gives them."""


class Published(NamedTuple):
    """The tensors of a file, and dW of each layer as its method defines it, in float64."""

    tensors: dict[str, Tensor]
    dense: dict[str, Tensor]


def _factors(shape: tuple[int, int], rank: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    up, down = torch.randn(shape[0], rank, generator=rng), torch.randn(rank, shape[1], generator=rng)
    return up * torch.rand((), generator=rng).mul(3).exp() * 0.03 / rank, down


def ziplora(shapes: Shapes, seed: int) -> Published:
    """mkshing/ziplora-pytorch: ``m_1 W_1 + m_2 W_2``, a whole matrix.

    ``unet_ziplora_state_dict`` names it ``unet.<module>.lora.weight``, and diffusers' ``save_lora_weights``
    puts another ``unet.`` before.
    """
    rng, tensors, dense = torch.Generator().manual_seed(seed), {}, {}
    for name, shape in shapes.items():
        total = torch.zeros(shape)
        for rank in (4, 3):
            up, down = _factors(shape, rank, rng)
            total += torch.rand(shape[1], generator=rng) * (up @ down)
        tensors[f"unet.unet.{name}.lora.weight"] = total
        dense[name] = total.double()
    return Published(tensors, dense)


def unziplora(shapes: Shapes, seed: int) -> Published:
    """changLiu77/UnZipLoRA: one of its two files, the mask of its columns already in ``up``; diffusers 0.25.

    The learned weights of the columns are not in it, see :func:`mergers`.
    """
    rng, tensors, dense = torch.Generator().manual_seed(seed), {}, {}
    for name, shape in shapes.items():
        up, down = _factors(shape, 4, rng)
        up = up * torch.randint(0, 2, (shape[0], 1), generator=rng)
        tensors[f"unet.unet.{name}.lora.up.weight"] = up
        tensors[f"unet.unet.{name}.lora.down.weight"] = down
        dense[name] = up.double() @ down.double()
    return Published(tensors, dense)


def mergers(shapes: Shapes, half: str, seed: int) -> dict[str, Tensor]:
    """What ``torch.save`` is given beside a half: by ``unet_unziplora_state_dict``, one a layer."""
    rng = torch.Generator().manual_seed(seed)
    return {
        f"unet.{name}.lora.merge_{half}": torch.nn.Parameter(torch.rand(shape[0], generator=rng))
        for name, shape in shapes.items()
    }


def coto(shapes: Shapes, seed: int) -> Published:
    """zwebzone/coto, and CopRA before it: a schedule for PEFT's own layers, which PEFT saves as ever."""
    rng, tensors, dense = torch.Generator().manual_seed(seed), {}, {}
    for name, shape in shapes.items():
        up, down = _factors(shape, 4, rng)
        tensors[f"base_model.model.{name}.lora_A.weight"] = down
        tensors[f"base_model.model.{name}.lora_B.weight"] = up
        dense[name] = up.double() @ down.double()
    return Published(tensors, dense)


def beamlora(shapes: Shapes, seed: int) -> Published:
    """gccnlp/BeamLoRA's PEFT: ``lora_gate`` [1, r] beside the factors.

    dW = sum_j r softmax(g / .05)_j b_j a_j.
    """
    rng, tensors, dense = torch.Generator().manual_seed(seed), {}, {}
    for name, shape in shapes.items():
        up, down = _factors(shape, 4, rng)
        gate = torch.randn(1, 4, generator=rng) * 0.05
        tensors[f"base_model.model.{name}.lora_A.weight"] = down
        tensors[f"base_model.model.{name}.lora_B.weight"] = up
        tensors[f"base_model.model.{name}.lora_gate"] = gate
        weights = (gate[0].double() * 20).exp()
        weights *= 4 / weights.sum()
        dense[name] = sum(
            weights[j] * torch.outer(up[:, j].double(), down[j].double()) for j in range(len(weights))
        )
    return Published(tensors, dense)


KINDS: dict[str, Callable[[Shapes, int], Published]] = {
    "ziplora": ziplora,
    "unziplora": unziplora,
    "coto": coto,
    "beamlora": beamlora,
}
