"""LORA_MODEL and model to slots and deltas, through the host's own key map and weight adapters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import comfy.lora
import comfy.lora_convert
import comfy.utils
import torch
from torch import Tensor

from ..klora_core import adapters
from ..klora_core.deltas import Delta, Slot
from ..klora_core.errors import KLoraError

# The order of the weights in the host's adapters.
_WEIGHTS = {
    "lora": ("up", "down", "alpha", "mid", "refused:DoRA", "refused:a LoRA that changes the layer's size"),
    "loha": (
        *("hada_w1_a", "hada_w1_b", "alpha", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
        "refused:DoRA",
    ),
    "lokr": (
        *("lokr_w1", "lokr_w2", "alpha", "lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
        "refused:DoRA",
    ),
}
_PREFIX, _SUFFIX = "diffusion_model.", ".weight"
_TEXT_ENCODER = (
    "lora_te",
    "text_encoder",
    "lora_prior_te",
    "clip_",
    "t5xxl.",
    "conditioner.",
    "te.",
    "te1.",
    "te2.",
)


@dataclass(frozen=True)
class HostLora:
    """A LoRA as this model understands it.

    ``slots`` holds the weight changes of linear and convolution layers; ``vectors`` what only ordinary
    patches can carry (biases, norms), by host key; ``clip`` the text-encoder patches; ``unknown`` the
    layers that neither the model nor the text encoder has, ``text`` those of the text encoder.
    """

    name: str
    slots: dict[Slot, Delta]
    vectors: dict[Any, Any] = field(default_factory=dict)
    clip: dict[Any, Any] = field(default_factory=dict)
    text: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def read(lora: Mapping[str, Tensor], name: str, model: Any, clip: Any | None) -> HostLora:
    """Read a LORA_MODEL for ``model`` (a ModelPatcher) and ``clip`` (a CLIP or None).

    Raises KLoraError, with the LoRA's ``name`` and the layer, for a LoRA of another base model, for one
    with missing tensors or wrong shapes, and for kinds that depend on the base weight.
    """
    tensors = comfy.lora_convert.convert_lora(dict(lora))
    key_map = _key_map(model.model)
    clip_map = {} if clip is None else comfy.lora.model_lora_keys_clip(clip.cond_stage_model, {})
    found = _load(tensors, key_map, name)
    modules = dict(model.model.named_modules())
    slots: dict[Slot, Delta] = {}
    vectors: dict[Any, Any] = {}
    for key, patch in found.items():
        weight, offset, function = _target(key)
        shape = layer_shape(modules.get(weight.removesuffix(_SUFFIX))) if weight.endswith(_SUFFIX) else None
        if shape is None or (offset is not None and offset[0] != 0) or _is_vector(patch):
            vectors[key] = patch
            continue
        rows = None if offset is None else (offset[1], offset[2])
        expected = shape if rows is None else (rows[1], shape[1])
        order = _row_order(function, expected[0])
        delta = _delta(patch, name, weight, expected)
        if order is not None:
            delta = delta.reordered(order)
        slots[Slot(weight.removeprefix(_PREFIX).removesuffix(_SUFFIX), rows)] = delta
    lost = _lost_layers(tensors, key_map, clip_map)
    text = tuple(layer for layer in lost if layer.startswith(_TEXT_ENCODER))
    unknown = tuple(layer for layer in lost if layer not in set(text))
    if not slots:
        raise KLoraError(_no_slot(name, model, unknown, text, vectors))
    return HostLora(name, slots, vectors, _load(tensors, clip_map, name), text, unknown)


def layer_shape(module: Any) -> tuple[int, int] | None:
    """[out, in * kernel] of a linear or convolution layer, quantised ones too; None for any other module."""
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        return int(module.out_features), int(module.in_features)
    if hasattr(module, "kernel_size") and hasattr(module, "out_channels"):
        inputs = module.in_channels // getattr(module, "groups", 1)
        return int(module.out_channels), int(inputs * math.prod(module.kernel_size))
    return None


def _key_map(model: Any) -> dict[str, Any]:
    """The host's key map, and beside it the dotted names that PEFT and newer diffusers write."""
    known = comfy.lora.model_lora_keys_unet(model, {})
    more = {}
    for name, weight in comfy.utils.unet_to_diffusers(model.model_config.unet_config).items():
        if name.endswith(_SUFFIX):
            layer = name.removesuffix(_SUFFIX)
            for prefix in ("unet.", "base_model.model.", "unet.base_model.model."):
                more[prefix + layer] = _PREFIX + weight
    for name, target in known.items():
        prefix, _, layer = name.partition(".")
        if prefix in ("diffusion_model", "transformer"):
            more[f"base_model.model.{layer}"] = target
    return {**more, **known}


def _load(tensors: dict[str, Tensor], key_map: dict, name: str) -> dict:
    try:
        return comfy.lora.load_lora(tensors, key_map, log_missing=False)
    except KeyError as error:
        raise KLoraError(
            f"{name}: tensor {error.args[0]!r} is missing beside its counterpart. "
            "The file is incomplete: download it or save it again."
        ) from error


def _target(key: Any) -> tuple[str, tuple[int, int, int] | None, Callable | None]:
    if isinstance(key, str):
        return key, None, None
    return key[0], key[1], key[2] if len(key) > 2 else None


def _is_vector(patch: Any) -> bool:
    return isinstance(patch, tuple) and (patch[0] != "diff" or patch[1][0].ndim < 2)


def _delta(patch: Any, name: str, weight: str, shape: tuple[int, int]) -> Delta:
    layer = weight.removesuffix(_SUFFIX)
    try:
        delta = adapters.delta(layer, _parts(patch))
    except KLoraError as error:
        raise KLoraError(f"{name}: {error}") from error
    assert delta is not None, "vectors are sorted out before"
    if delta.shape != shape:
        raise KLoraError(
            f"{name}: layer {layer} is {_size(delta.shape)} in the LoRA and {_size(shape)} in the model. "
            "The LoRA was made for another base model: load the matching checkpoint or another LoRA."
        )
    return delta


def _parts(patch: Any) -> dict[str, Tensor]:
    """A host patch as the tensors of one module, under the names that the core's adapters know."""
    if isinstance(patch, tuple):
        return {"diff": patch[1][0].detach()}
    names = _WEIGHTS.get(patch.name, (f"refused:{patch.name.upper()}",))
    parts = {n: w for n, w in zip(names, patch.weights, strict=False) if n is not None and w is not None}
    return {n: w.detach() if isinstance(w, Tensor) else torch.tensor(w) for n, w in parts.items()}


def _row_order(function: Callable | None, out: int) -> Tensor | None:
    """The order that the host's key map gives to a delta's rows (FLUX stores shift and scale swapped)."""
    return None if function is None else function(torch.arange(out).unsqueeze(1)).flatten()


def _lost_layers(tensors: Mapping[str, Tensor], *key_maps: Mapping) -> list[str]:
    """The layers of a LoRA that no key map knows, in the file's spelling and order."""
    lost: dict[str, None] = {}
    for key in tensors:
        parts = key.split(".")
        owners = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        owners += [owner.removesuffix("_lora") for owner in owners]
        if not any(owner in key_map for owner in owners for key_map in key_maps):
            lost[_layer_name(key)] = None
    return list(lost)


def _layer_name(key: str) -> str:
    for mark in (".lora_", "_lora.", ".lora.", ".hada_", ".lokr_", ".alpha", ".diff", ".dora_scale"):
        if mark in key:
            return key.split(mark, 1)[0]
    return key.rsplit(".", 1)[0]


def _size(shape: tuple[int, int]) -> str:
    return " x ".join(map(str, shape))


def _no_slot(name: str, model: Any, unknown: tuple, text: tuple, vectors: dict) -> str:
    kind = type(model.model).__name__
    if unknown:
        return (
            f"{name}: none of its {len(unknown)} layers exists in this model ({kind}), for example "
            f"{unknown[0]!r}. It was made for another base model: load its checkpoint or another LoRA."
        )
    if text:
        return f"{name} changes the text encoder alone, nothing to fuse in the model: use a LoRA loader."
    what = "only biases and norms" if vectors else "nothing that can be applied"
    return f"{name} holds {what} for this model ({kind}): choose a LoRA with weight layers."
