"""Low-rank deltas on the small MMDiT: its 33 slots, how they are trained side by side, and the two spellings
of a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .mmdit import BLOCKS, HIDDEN, MMDiT


@dataclass(frozen=True)
class Slot:
    """One weight that a LoRA changes: diffusers' name of it, the module that holds it here, the part of a
    fused one.
    """

    name: str
    module: str
    part: int | None = None

    @property
    def rows(self) -> slice:
        """Its rows of the module's weight."""
        return slice(None) if self.part is None else slice(self.part * HIDDEN, (self.part + 1) * HIDDEN)


def _slots() -> Iterator[Slot]:
    for i in range(BLOCKS):
        here, there = f"transformer_blocks.{i}", f"joint_blocks.{i}"
        for stream, letters, out, mlp in (
            ("x_block", ("to_q", "to_k", "to_v"), "to_out.0", "ff"),
            ("context_block", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "ff_context"),
        ):
            for part, letter in enumerate(letters):
                yield Slot(f"{here}.attn.{letter}", f"{there}.{stream}.attn.qkv", part)
            if stream == "context_block" and i == BLOCKS - 1:
                continue
            yield Slot(f"{here}.attn.{out}", f"{there}.{stream}.attn.proj")
            yield Slot(f"{here}.{mlp}.net.0.proj", f"{there}.{stream}.mlp.fc1")
            yield Slot(f"{here}.{mlp}.net.2", f"{there}.{stream}.mlp.fc2")


SLOTS: tuple[Slot, ...] = tuple(_slots())


class Mask:
    """Which slots act on which picture of the batch, [B, 33] of 0 and 1; None: all."""

    value: Tensor | None = None


class SideLinear(nn.Module):
    """A frozen linear layer with the deltas of its slots beside it: y = W x + sum over slots of mask * B A
    x.
    """

    def __init__(self, base: nn.Linear, slots: list[int], rank: int, mask: Mask) -> None:
        super().__init__()
        self.base, self.slots, self.rank = base, slots, rank
        self._mask = [mask]
        out = HIDDEN if len(slots) > 1 else base.out_features
        self.down = nn.ParameterList(
            torch.randn(rank, base.in_features) * base.in_features**-0.5 for _ in slots
        )
        self.up = nn.ParameterList(torch.zeros(out, rank) for _ in slots)

    def forward(self, x: Tensor) -> Tensor:
        inner = x @ torch.cat(list(self.down)).T
        mask = self._mask[0].value
        if mask is not None:
            inner = inner * mask[:, None, self.slots].repeat_interleave(self.rank, dim=2)
        return self.base(x) + inner @ torch.block_diag(*self.up).T


def attach(model: MMDiT, rank: int) -> tuple[list[SideLinear], Mask]:
    """Put trainable deltas of one rank beside every slot; `up` starts at zero."""
    mask, sides = Mask(), []
    for name in dict.fromkeys(s.module for s in SLOTS):
        parent, _, leaf = name.rpartition(".")
        holder = model.get_submodule(parent)
        side = SideLinear(
            getattr(holder, leaf), [i for i, s in enumerate(SLOTS) if s.module == name], rank, mask
        )
        setattr(holder, leaf, side)
        sides.append(side)
    return sides, mask


Factors = dict[int, tuple[Tensor, Tensor]]


def factors_of(sides: list[SideLinear]) -> Factors:
    """Slot index to (up [out, r], down [r, in])."""
    return {
        slot: (side.up[k].detach(), side.down[k].detach())
        for side in sides
        for k, slot in enumerate(side.slots)
    }


def diffusers_file(factors: Factors) -> dict[str, Tensor]:
    """Keys as diffusers (PEFT) writes them, half precision; alpha equals rank, so none is stored."""
    out = {}
    for index, (up, down) in sorted(factors.items()):
        name = f"transformer.{SLOTS[index].name}"
        out[f"{name}.lora_A.weight"] = down.half().contiguous()
        out[f"{name}.lora_B.weight"] = up.half().contiguous()
    return out


def kohya_file(factors: Factors) -> dict[str, Tensor]:
    """Keys as kohya's trainer writes them: queries, keys and values fused into one module of three times the
    rank.
    """
    out = {}
    for module in dict.fromkeys(s.module for s in SLOTS):
        parts = [factors[i] for i, s in enumerate(SLOTS) if s.module == module]
        name = "lora_unet_" + module.replace(".", "_")
        down = torch.cat([d for _, d in parts])
        out[f"{name}.lora_down.weight"] = down.half().contiguous()
        out[f"{name}.lora_up.weight"] = torch.block_diag(*(u for u, _ in parts)).half().contiguous()
        out[f"{name}.alpha"] = torch.tensor(float(down.shape[0]))
    return out


def read_diffusers_file(tensors: dict[str, Tensor]) -> Factors:
    """Back from diffusers' keys, float32."""
    names = {f"transformer.{s.name}": i for i, s in enumerate(SLOTS)}
    return {
        i: (tensors[f"{n}.lora_B.weight"].float(), tensors[f"{n}.lora_A.weight"].float())
        for n, i in names.items()
    }


def added(model: MMDiT, factors: Factors, strength: float = 1.0, slots: set[int] | None = None) -> None:
    """Add a LoRA's deltas to the model's own weights, in all slots or some; for the gate."""
    for index, (up, down) in factors.items():
        if slots is not None and index not in slots:
            continue
        slot = SLOTS[index]
        weight = model.get_parameter(f"{slot.module}.weight")
        with torch.no_grad():
            weight[slot.rows] += strength * up @ down
