"""A LoRA whose ranks are chosen for each token (SMoRA, arXiv 2501.15103): factors, Wr and b in one file.

``klora_ranks.<slot>.up``, ``.down``, ``.router`` (Wr), ``.bias`` (b), ``.alpha`` and ``.k``, the slot by its
name in ComfyUI's model. It is read as every LoRA is; no loader of others knows these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..keys import ALPHA, RANKS_HEAD


@dataclass(frozen=True, eq=False)
class RanksOf:
    """One layer: ``up`` [out, r], ``down`` and ``router`` [r, n], ``bias`` [r], k of r ranks at a time."""

    up: Tensor
    down: Tensor
    router: Tensor
    bias: Tensor
    k: int
    alpha: float | None = None


def rank_tensors(layers: Mapping[str, RanksOf]) -> dict[str, Tensor]:
    """The tensors of a file, by the slot's name; a LORA_MODEL as it is."""
    tensors: dict[str, Tensor] = {}
    for slot, own in layers.items():
        alpha = float(own.k) if own.alpha is None else float(own.alpha)
        factors = {"up": own.up, "down": own.down, "router": own.router, "bias": own.bias}
        numbers = {"k": torch.tensor(float(own.k)), ALPHA: torch.tensor(alpha)}
        for part, tensor in {**factors, **numbers}.items():
            tensors[f"{RANKS_HEAD}{slot}.{part}"] = tensor.detach().contiguous()
    return tensors
