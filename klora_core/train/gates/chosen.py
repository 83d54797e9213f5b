"""SMoRA while it learns (arXiv 2501.15103): factors and Wr by gradients, b by how often each rank worked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...deltas.gates import routed
from ...files.learned import RanksOf, rank_tensors
from ...names import Slot
from ..chains import inner, outer
from ..layers import Change

RATE = 1e-5
"""How far b moves after a step."""


def moved(bias: Tensor, counts: Tensor, rate: float = RATE) -> Tensor:
    """b + rate sign(mean count - count): ranks that work often are chosen less, b has no gradient."""
    return bias + rate * torch.sign(counts.mean() - counts)


class ChosenRanks:
    """A LoRA of ``shapes`` ([out, n] by slot) with ``rank`` ranks, ``k`` of which work for a token.

    To be shown on a model's layers. ``alpha`` None means k: a scale of 1.
    """

    def __init__(
        self,
        shapes: Mapping[Slot, tuple[int, int]],
        rank: int = 64,
        k: int = 8,
        alpha: float | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.rank, self.k, self.alpha = rank, k, float(k) if alpha is None else alpha
        with torch.inference_mode(False):
            self._slots = {slot: _Slot(*shape, rank, generator, device) for slot, shape in shapes.items()}

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Down, up and Wr of each slot."""
        return tuple(t for own in self._slots.values() for t in (own.down, own.up, own.router))

    @property
    def biases(self) -> tuple[Tensor, ...]:
        """b of each slot: what to keep beside the parameters, to go on bit for bit."""
        return tuple(own.bias for own in self._slots.values())

    def of(self, slot: Slot) -> Change | None:
        """y = (alpha / k) B (g * A x)."""
        own = self._slots.get(slot)
        if own is None:
            return None

        def change(module: Any, x: Tensor) -> Tensor:
            gates = routed(inner(module, x, own.router).float(), own.bias, self.k)
            own.counts = own.counts + (gates.detach() != 0).flatten(0, -2).sum(0)
            z = inner(module, x, own.down)
            return outer(module, z * gates.to(z.dtype), own.up) * (self.alpha / self.k)

        return change

    def after_step(self) -> None:
        """Move b by what the step's calls were, and count anew."""
        for own in self._slots.values():
            own.bias.copy_(moved(own.bias, own.counts.to(own.bias.dtype)))
            own.counts = torch.zeros_like(own.counts)

    def learned(self) -> dict[str, Tensor]:
        """The tensors of its file, a LORA_MODEL as they are."""
        return rank_tensors({slot.name: own.learned(self.k, self.alpha) for slot, own in self._slots.items()})


class _Slot:
    def __init__(
        self, out: int, n: int, rank: int, generator: torch.Generator | None, device: torch.device | str
    ) -> None:
        def drawn() -> Tensor:
            return (torch.randn(rank, n, generator=generator) * n**-0.5).to(device).requires_grad_()

        self.down, self.router = drawn(), drawn()
        self.up = torch.zeros(out, rank, device=device).requires_grad_()
        self.bias = torch.zeros(rank, device=device)
        self.counts = torch.zeros(rank, dtype=torch.int64, device=device)

    def learned(self, k: int, alpha: float) -> RanksOf:
        up, down, router, bias = (
            tensor.detach().cpu().clone() for tensor in (self.up, self.down, self.router, self.bias)
        )
        return RanksOf(up, down, router, bias, k, alpha)
