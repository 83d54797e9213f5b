"""What a training takes of memory, counted for the model at hand and said before it is taken."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...klora_core.errors import KLoraError
from ...klora_core.names import Slot
from ...klora_core.train import Changes, Held, Layers, blocks, held
from ..host import RULES
from .on_host import OnHost, where

_LOG = logging.getLogger("klora")
# What calls of several pictures together may take: small models are slow one by one.
_SMALL = 1 << 28
_SMALLER = "Use an fp8 version of the model, smaller pictures, or a device with more memory"


@dataclass(frozen=True)
class Needs:
    """Bytes: of the second model, of the factors that are learned with, and of a graph."""

    weights: int
    factors: int
    graph: Held

    def at_once(self, most: int) -> int:
        """How many pictures in one call: by what the model needs alone, so that every run does the same."""
        return max(1, min(most, _SMALL // max(1, self.graph.checkpointed)))

    def line(self) -> str:
        """For a report and the log."""
        return (
            f"Memory: a second copy of the model {amount(self.weights)}, the LoRAs {amount(self.factors)}, a "
            f"step {amount(self.graph.checkpointed)} with its blocks run twice ({amount(self.graph.whole)} "
            "without)."
        )


def check_weights(model: Any, factors: int) -> None:
    """Raises KLoraError where the model and what is learned with can't lie on its device at all."""
    device = model.load_device
    needed, there = model.model_size() + factors, comfy.model_management.get_total_memory(device)
    if needed > there:
        raise KLoraError(
            f"learning needs {amount(needed)} for the whole model and the LoRAs, and {device} has "
            f"{amount(there)}.",
            _SMALLER,
        )


def counted(
    second: Any, slots: Mapping[Slot, int], latent: Tensor, condition: Any, changes: Changes, factors: int
) -> Needs:
    """What learning ``changes`` takes, for a latent [b, ...] in one call; said in the log, and room is made.

    Raises KLoraError where there is not enough.
    """
    with Layers(second.model, slots, where, RULES) as layers:
        on, batch = OnHost(second, layers), len(latent)
        x, sigma, _ = on.noised(latent, torch.zeros_like(latent), torch.full((batch,), 0.5))
        network = second.model.diffusion_model
        graph = held(network, blocks(network), lambda: on.predict(x, sigma, condition, changes))
    needs = Needs(second.model_size(), factors, graph)
    _LOG.info("K-LoRA: %s", needs.line())
    device = second.load_device
    loaded = [each for each in comfy.model_management.current_loaded_models if each.model is second]
    if not comfy.model_management.is_device_cpu(device):
        comfy.model_management.free_memory(graph.checkpointed, device, loaded)
    there = comfy.model_management.get_free_memory(device)
    if graph.checkpointed > there:
        raise KLoraError(
            f"a step of learning needs {amount(graph.checkpointed)} beside the model, and {device} has "
            f"{amount(there)} left.",
            _SMALLER,
        )
    return needs


def amount(size: float) -> str:
    """Of so many bytes."""
    return f"{size / (1 << 30):.1f} GB" if size >= 1 << 28 else f"{size / (1 << 20):.0f} MB"
