"""Shared by the tests of the reader: reading with a full account, and what the host makes of patches."""

from __future__ import annotations

import comfy.lora
import comfy.model_patcher
import torch

from tests.support.host.networks import network
from tests.support.host.nodes import part


def accounted(pack, tensors, model, clip=None):
    """The HostLora of a file's tensors; each of them is applied or left, never both."""
    found = part(pack, "nodes.loras.read").read(tensors, "odd.safetensors", model, clip)
    left = [key for item in found.left for key in item.keys]
    assert len(left) == len(set(left))
    assert found.applied | set(left) == set(tensors) and not found.applied & set(left)
    return found


def notes_of(pack, found, keep=True, clip=False):
    """What the report says of a LoRA as the subject at strength 0.7."""
    notes = part(pack, "nodes.loras.notes").notes("subject", found, 0.7, keep=keep, clip=clip)
    return [note.text for note in notes]


def lora(raw, out, n, rank=2):
    return {f"{raw}.lora_up.weight": torch.randn(out, rank), f"{raw}.lora_down.weight": torch.randn(rank, n)}


def patcher(family):
    """A ModelPatcher of one of the host's networks, names and shapes alone."""
    device = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(network(family), load_device=device, offload_device=device)


def moved(patches, weight, key, strength=1.0):
    """What the host's own arithmetic makes of an ordinary patch."""
    entries = []
    for target, patch in patches.items():
        name, offset, function = (
            target
            if isinstance(target, tuple) and len(target) == 3
            else ((*target, None) if isinstance(target, tuple) else (target, None, None))
        )
        if name == key:
            entries.append((strength, patch, 1.0, offset, function))
    return comfy.lora.calculate_weight(entries, weight.clone(), key) - weight
