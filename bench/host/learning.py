"""What learning takes: memory counted on networks of full shapes without weights, and runs of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.supported_models
import torch
from comfy.ldm.modules.attention import attention_pytorch
from torch import Tensor, nn

from klora_core.apply import Spot
from klora_core.deltas import LowRank
from klora_core.names import Slot
from klora_core.train import (
    Changes,
    Factors,
    Held,
    Layers,
    Options,
    ZipOptions,
    begun,
    blocks,
    held,
    parameters,
)
from klora_core.train.fusable import METHODS
from klora_core.train.gates import GateOptions, TrainedGates
from tools.tiny.architectures import FLUX, SD15, SDXL

from ..tables import Table
from .models import attention_layers

_GIB, _RANK = 1 << 30, 16
# Of a number that is learned: itself, its gradient, two moments, 4 bytes each.
_LEARNED = 16
# As the nodes have them: noised copies that are known before, unseen ones after, by sums and the result.
_COPIES, _UNSEEN, _BESIDE = 96, 8, 4
# Of the node's defaults: pictures that a LoRA makes alone, steps of each, twice a step for cfg.
_PICTURES, _STEPS = 8, 20


@dataclass(frozen=True)
class _Size:
    title: str
    family: str
    config: Mapping[str, Any]
    latent: tuple[int, ...]
    more: Mapping[str, tuple[int, ...]]


_FLUX = {"context": (512, 4096), "y": (768,), "guidance": ()}
_SIZES = (
    _Size("SD1.5, 512 x 512", "SD15", SD15, (4, 64, 64), {"context": (77, 768)}),
    _Size("SDXL, 1024 x 1024", "SDXL", SDXL, (4, 128, 128), {"context": (77, 2048), "y": (2816,)}),
    _Size("FLUX, 1024 x 1024", "Flux", FLUX, (16, 128, 128), _FLUX),
)


def tables() -> list[Table]:
    """Memory by network, runs by method."""
    with torch.inference_mode(False):
        return [_memory(), _runs()]


def _memory() -> Table:
    return Table(
        "Memory of learning, bf16: two LoRAs of rank 16 on all attention layers, GiB",
        (
            "network, one picture",
            "second model",
            "columns and rows",
            "a step",
            "a step, whole graph",
            "gates",
            "a step of gates",
        ),
        tuple(_of(size) for size in _SIZES),
        (
            "Counted on networks of full shapes without weights (torch's meta device), by the function that "
            "the nodes count with before they take anything; nothing was run. fp8 halves the second model. "
            "The text encoder and the VAE are not in it.",
            "Columns and rows, gates: with the LoRAs, gradients and moments. A step: what the graph of one "
            "prediction holds, its blocks computed twice; whole graph: without that.",
        ),
    )


def _of(size: _Size) -> tuple[str, ...]:
    config = getattr(comfy.supported_models, size.family)(dict(size.config))
    config.set_inference_dtype(torch.bfloat16, None)
    model = config.get_model({}, "", device="meta")
    network = model.diffusion_model.requires_grad_(False).eval()
    loras = {Slot(name): _pair(network.get_submodule(name)) for name in attention_layers(model)}
    factors = Factors(loras, 2)
    columns, gates = begun(factors, (1.0, 1.0), "both"), TrainedGates(loras, 2)
    learned = sum(p.numel() for p in (*parameters(columns.columns), *parameters(columns.rows)))
    step, of_gates = (_held(network, size, loras, changes) for changes in (columns, gates))
    counted = (
        sum(p.numel() for p in network.parameters()) * 2,
        4 * factors.size() + _LEARNED * learned,
        step.checkpointed,
        step.whole,
        gates.size() + 4 * factors.size(),
        of_gates.checkpointed,
    )
    return size.title, *(f"{each / _GIB:.2f}" for each in counted)


def _pair(layer: nn.Module) -> tuple[LowRank, LowRank]:
    out, n = layer.weight.shape[0], layer.weight[0].numel()
    own = LowRank(torch.empty(out, _RANK, device="meta"), torch.empty(_RANK, n, device="meta"))
    return own, own


def _held(network: nn.Module, size: _Size, loras: Mapping[Slot, Any], changes: Changes) -> Held:
    def made(shape: Sequence[int]) -> Tensor:
        return torch.empty(1, *shape, device="meta", dtype=torch.bfloat16)

    more: dict[str, Any] = {name: made(shape) for name, shape in size.more.items()}
    more["transformer_options"] = {"optimized_attention_override": _as_on_a_gpu}
    heights = {slot: own[0].shape[0] for slot, own in loras.items()}
    with (
        Layers(network, heights, lambda slot, out: (Spot(slot.weight, None),)) as layers,
        layers.showing(changes),
    ):
        return held(network, blocks(network), lambda: network(made(size.latent), made(()), **more))


def _as_on_a_gpu(chosen: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Torch's own attention, whatever the host has chosen for this machine."""
    return attention_pytorch(*args, **kwargs)


def _runs() -> Table:
    own = 2 * _PICTURES * _STEPS * 2
    after = 2 * _UNSEEN * _BESIDE
    taught, zipped, gate = Options(), ZipOptions(), GateOptions()
    rows = [
        ("taught", taught.steps * taught.batch, 2 * _UNSEEN * _BESIDE),
        ("ZipLoRA", 2 * zipped.steps * zipped.batch, own + 2 * _COPIES + after),
        ("calibrated", 0, own + 2 * _COPIES + after),
        ("MoLE gate", 2 * gate.steps * gate.batch, own + 2 * _COPIES + after + 2 * _UNSEEN),
        ("Arrow", 0, 0),
    ]
    rows += [(row.label, row.steps, 2 * 6) for row in METHODS]
    return Table(
        "Runs of the model that learning takes, two LoRAs, the nodes' defaults",
        ("method", "with gradients", "without"),
        tuple((name, f"{learned:,}", f"{plain:,}") for name, learned, plain in rows),
        (
            "One picture a run, by the defaults' numbers. With gradients: forward, the blocks forward again, "
            "and backward, about four times a run without. Without: each LoRA's own pictures "
            f"({_PICTURES} of {_STEPS} steps, with and without prompt), what each LoRA answers alone to "
            f"{_COPIES} copies, and the report's errors.",
            "The last five train a LoRA from pictures; their number of steps is their paper's or the node's.",
        ),
    )
