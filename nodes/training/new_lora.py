"""What a new LoRA is trained on: latents with their captions, and the layers of the model that it changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...klora_core.errors import KLoraError
from ...klora_core.names import Slot, is_attention, transformer_block
from ...klora_core.train import Item
from .conditions import without_hooks

LAYERS = ("attention", "blocks", "all")
_MASKS = "noise_mask"


def items(model: Any, latents: Sequence[Any], positive: Sequence[Any]) -> list[Item]:
    """Each picture of a list of LATENTs, of any sizes, with its caption of a list of CONDITIONINGs: one for
    all, or one for each in order. As the network sees them, on the CPU.

    Raises KLoraError where their numbers differ, for latents of another kind of model, and for hooks.
    """
    pictures = [picture for latent in latents for picture in _pictures(model, latent)]
    captions = [[entry] for conditioning in positive for entry in without_hooks(conditioning)]
    if not pictures:
        raise KLoraError("latents is empty.", "Give at least one picture")
    if len(captions) not in (1, len(pictures)):
        raise KLoraError(
            f"there are {len(captions)} prompts in positive and {len(pictures)} pictures in latents.",
            "Give one prompt for all pictures or for each",
        )
    return [Item(picture, captions[i % len(captions)]) for i, picture in enumerate(pictures)]


def caption(name: str, given: Sequence[Any]) -> list[Any]:
    """The one caption of a list of CONDITIONINGs. Raises KLoraError for several, and for hooks."""
    captions = [entry for conditioning in given for entry in without_hooks(conditioning)]
    if len(captions) != 1:
        raise KLoraError(f"there are {len(captions)}.", f"Give one prompt as {name}")
    return captions


def has_masks(latents: Sequence[Any]) -> bool:
    """Whether pictures come with masks, which no training here looks at."""
    return any(_MASKS in latent for latent in latents)


def _pictures(model: Any, latent: Any) -> list[Tensor]:
    samples = latent.get("samples") if isinstance(latent, dict) else None
    if not isinstance(samples, Tensor) or getattr(samples, "is_nested", False):
        raise KLoraError(
            "latents holds something else, such as sound.", "Encode the pictures with VAE Encode"
        )
    space = model.model.latent_format
    if space.latent_dimensions == 3 and samples.ndim == 4:
        samples = samples.unsqueeze(2)
    if samples.shape[1] != space.latent_channels or samples.ndim != space.latent_dimensions + 2:
        raise KLoraError(
            f"latents has {samples.shape[1]} channels, and the model takes {space.latent_channels}.",
            "Encode the pictures with the VAE of this model",
        )
    # No graph may hold tensors of inference mode.
    with torch.inference_mode(False), torch.no_grad():
        seen = model.model.process_latent_in(samples.detach().to("cpu", torch.float32, copy=True))
    return [seen[i : i + 1] for i in range(len(seen))]


def sizes(model: Any, layers: str, linear: bool = False) -> dict[Slot, tuple[int, int]]:
    """[out, n] of the layers that ``layers`` names, in the order of the network; ``linear``: no convolutions.

    attention: queries, keys, values and outputs; blocks: every linear layer of the blocks; all: every linear
    and convolution layer there is. Raises KLoraError where the model has none of them.
    """
    if layers not in LAYERS:
        raise KLoraError(f"unknown layers {layers!r}.", f"Use one of {', '.join(LAYERS)}")
    found = {}
    for name, module in model.model.diffusion_model.named_modules():
        shape = _shape(module)
        if (
            shape is not None
            and _is_meant(name, module, layers)
            and not (linear and hasattr(module, "kernel_size"))
        ):
            found[Slot(name)] = shape
    if not found:
        raise KLoraError(
            "this model has none that are known by that name.", f"Choose other layers than {layers}"
        )
    return found


def _is_meant(name: str, module: Any, layers: str) -> bool:
    if layers == "attention":
        return is_attention(name)
    if layers == "blocks":
        return not hasattr(module, "kernel_size") and transformer_block(name) != name.split(".")[0]
    return True


def _shape(module: Any) -> tuple[int, int] | None:
    """[out, n] of a linear or convolution layer, its kernel flat in n; None for anything else."""
    if getattr(module, "weight", None) is None or getattr(module, "transposed", False):
        return None
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        return module.out_features, module.in_features
    if hasattr(module, "kernel_size") and hasattr(module, "in_channels"):
        return module.out_channels, module.in_channels // module.groups * math.prod(module.kernel_size)
    return None


def kernels(model: Any) -> dict[str, tuple[int, ...]]:
    """[out, in, kernel...] of the model's convolutions, by canonical name."""
    return {
        name: (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
        for name, module in model.model.diffusion_model.named_modules()
        if hasattr(module, "kernel_size") and _shape(module) is not None
    }
