"""Where a LoRA's modules belong in a model of the host: its own key map, and what the names alone tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.lora
import comfy.utils
import torch
from torch import Tensor

from ...klora_core import names
from ...klora_core.names import layout_of

PREFIX, SUFFIX = "diffusion_model.", ".weight"
# Modules that the host calls while it prepares the conditioning, by model class: outside the sampling call
# nothing can be switched. The last column names the attribute of the network that must be set for it.
_BEFORE_SAMPLING: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("Anima", ("llm_adapter.",), None),
    ("LTXAV", ("video_embeddings_connector.", "audio_embeddings_connector."), None),
    ("LTXAV", ("caption_projection.", "audio_caption_projection."), "caption_proj_before_connector"),
    ("MiniMaxH3", ("condition_proj.", "token_refiner."), None),
)

DimSpan = tuple[int, int, int]
"""(dimension, start, length) of a part of a weight."""


@dataclass(frozen=True)
class HostWeight:
    """A weight of the model, the part of it (dimension, start, length), and how a change's rows are put."""

    key: str
    offset: DimSpan | None = None
    function: Callable[[Tensor], Tensor] | None = None

    @property
    def patch_key(self) -> Any:
        """The key under which the host's ``add_patches`` takes a patch for it."""
        if self.function is not None:
            return self.key, self.offset, self.function
        return self.key if self.offset is None else (self.key, self.offset)

    def bias(self) -> HostWeight | None:
        """The bias of the same layer, the same part of it; None for what is no layer's weight."""
        if not self.key.endswith(SUFFIX) or (self.offset is not None and self.offset[0] != 0):
            return None
        return HostWeight(self.key.removesuffix(SUFFIX) + ".bias", self.offset, self.function)

    def shape_in(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the part that is meant, of a tensor of ``shape``; () where it has no such part."""
        if self.offset is None:
            return shape
        dim, start, length = self.offset
        if dim >= len(shape) or start + length > shape[dim]:
            return ()
        return (*shape[:dim], length, *shape[dim + 1 :])


class Network:
    """A model of the host by the names and shapes of its parameters."""

    def __init__(self, model: Any) -> None:
        self.kind = type(model).__name__
        self.shapes: dict[str, tuple[int, ...]] = {k: tuple(v.shape) for k, v in model.state_dict().items()}
        self._layers = {name: layer_shape(module) for name, module in model.named_modules()}
        self._key_map = _key_map(model)
        self._before = _before_sampling(model)
        weights = {
            name.removeprefix(PREFIX): shape
            for name, shape in self._layers.items()
            if shape is not None and name.startswith(PREFIX)
        }
        self._layout = layout_of(weights)
        self._by_flat = {names.flat(name): name for name in weights}

    def target(self, raw: str, shape: tuple[int, int]) -> HostWeight | None:
        """Where the module ``raw`` of a LoRA belongs, None where this model knows no such name.

        What the host's key map does not know is looked up as the command line does, by the tables of names,
        unless the model itself has a module of that name; ``shape`` is that of the change.
        """
        if raw in self._key_map:
            known = self._key_map[raw]
            found = HostWeight(known) if isinstance(known, str) else HostWeight(*known)
            if found.offset is None or found.offset[2] == shape[0]:
                return found
            # The host cuts q, k and v into thirds even where queries are grouped.
        own = self._by_flat.get(names.flat(names.module(raw)[0]))
        if own is not None:
            return HostWeight(PREFIX + own + SUFFIX)
        place = self._place(raw, shape)
        weight = self._by_flat.get(names.flat(place.slot.weight))
        if weight is None:
            return None
        rows = place.slot.rows
        return HostWeight(
            PREFIX + weight + SUFFIX,
            None if rows is None else (0, *rows),
            comfy.utils.swap_scale_shift if place.swap_halves else None,
        )

    def has(self, raw: str) -> bool:
        """Whether a layer of the model itself has the name of the module ``raw``."""
        return names.flat(names.module(raw)[0]) in self._by_flat

    def known_as(self, raw: str, shape: tuple[int, int]) -> str:
        """What the tables of names call a module that this model lacks: alike for all its spellings."""
        return self._place(raw, shape).slot.name

    def _place(self, raw: str, shape: tuple[int, int]) -> names.Placed:
        return names.place(names.module(raw)[0], shape, self._layout)

    def layer_shape(self, weight: str) -> tuple[int, int] | None:
        """[out, in * kernel] of the linear or convolution layer whose weight this is; None for any other."""
        return self._layers.get(weight.removesuffix(SUFFIX)) if weight.endswith(SUFFIX) else None

    def weight_shape(self, weight: str, layer: tuple[int, int]) -> tuple[int, ...]:
        """The shape of a layer's weight, kernels and all; that of the ``layer`` where it is stored packed."""
        shape = self.shapes[weight]
        return shape if math.prod(shape) == math.prod(layer) else layer

    def runs_before_sampling(self, weight: str) -> bool:
        """Whether the host runs a layer while it prepares the conditioning, not in the sampling call."""
        return weight.removeprefix(PREFIX).startswith(self._before)


def layers_of(model: Any) -> Iterator[str]:
    """The linear and convolution layers of a ModelPatcher's diffusion model, by canonical name."""
    for name, module in model.model.diffusion_model.named_modules():
        if layer_shape(module) is not None:
            yield name


def layer_shape(module: Any) -> tuple[int, int] | None:
    """[out, in * kernel] of a linear or convolution layer, quantised ones too; None for any other module.

    A transposed convolution, whose weight is [in, out, kernel...], is no such layer.
    """
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        return int(module.out_features), int(module.in_features)
    if getattr(module, "transposed", False):
        return None
    if hasattr(module, "kernel_size") and hasattr(module, "out_channels"):
        inputs = module.in_channels // getattr(module, "groups", 1)
        return int(module.out_channels), int(inputs * math.prod(module.kernel_size))
    return None


def row_order(function: Callable | None, out: int) -> Tensor | None:
    """The order that the host's key map gives to a delta's rows (FLUX stores shift and scale swapped)."""
    return None if function is None else function(torch.arange(out).unsqueeze(1)).flatten()


def _before_sampling(model: Any) -> tuple[str, ...]:
    classes = {kind.__name__ for kind in type(model).__mro__}
    return tuple(
        prefix
        for kind, prefixes, flag in _BEFORE_SAMPLING
        if kind in classes and (flag is None or getattr(model.diffusion_model, flag, False))
        for prefix in prefixes
    )


def _key_map(model: Any) -> Mapping[str, Any]:
    """The host's key map, and beside it the dotted names that PEFT and newer diffusers write."""
    known = comfy.lora.model_lora_keys_unet(model, {})
    more = {}
    for name, weight in comfy.utils.unet_to_diffusers(model.model_config.unet_config).items():
        if name.endswith(SUFFIX):
            layer = name.removesuffix(SUFFIX)
            for prefix in ("unet.", "unet.unet.", "base_model.model.", "unet.base_model.model."):
                more[prefix + layer] = PREFIX + weight
    for name, target in known.items():
        prefix, _, layer = name.partition(".")
        if prefix in ("diffusion_model", "transformer"):
            more[f"base_model.model.{layer}"] = target
    return {**more, **known}
