"""The weights of a model of the host, for changes that depend on them: dequantised by the host's own ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from torch import Tensor

from ...klora_core.deltas import LayerWeight
from ...klora_core.errors import KLoraError


class LayerWeights:
    """Weights of ``model``, a ModelPatcher, with the ordinary patches that it comes with.

    They are those of its file even while another clone's patches lie in memory.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def of(self, key: str, shape: tuple[int, ...], device: torch.device) -> LayerWeight:
        """The weight ``key`` of ``shape``. Raises KLoraError where it can't be read as such."""
        return LayerWeight.of(lambda where: self.read(key, shape, where), device)

    def read(self, key: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Its numbers, in float32."""
        stored, convert, patches = self._look_up(key)
        weight = self._plain(key, stored, convert)
        if weight.numel() != math.prod(shape) or not weight.is_floating_point():
            raise KLoraError(
                f"the model's weight {key} is stored in a way that can't be read here ({weight.dtype}, "
                f"{tuple(weight.shape)}).",
                "Use a version of the checkpoint in bf16, fp16, fp8 or GGUF",
            )
        own = weight.detach().to(device=device, dtype=torch.float32).view(shape)
        if patches:
            # Ours to change: the host adds in place.
            own = comfy.lora.calculate_weight(patches, own.clone(), key)
        return own

    def _look_up(self, key: str) -> tuple[Any, Callable[..., Any], list]:
        """The weight as it is stored, how the host takes it for a number, and its patches.

        The host's own ``get_key_patches`` asks the layers for every entry of a checkpoint, and trips over the
        scales of quantised ones.
        """
        model = self._model
        stored, _, convert = comfy.model_patcher.get_key_weight(model.model, key)
        if (backup := model.backup.get(key)) is not None:
            stored = backup.weight
        if (hooked := model.hook_backup.get(key)) is not None:
            stored = hooked[0]
        return stored, convert or _as_it_is, model.patches.get(key, [])

    def _plain(self, key: str, stored: Any, convert: Any) -> Tensor:
        module = comfy.utils.get_attr(self._model.model, key.rpartition(".")[0])
        # GGUF's layers know their blocks.
        unpack = getattr(module, "get_weight", None)
        if unpack is not None and hasattr(stored, "tensor_type"):
            return torch.Tensor(unpack(stored, torch.float32))
        weight = convert(stored, inplace=False)
        return weight.dequantize() if hasattr(weight, "dequantize") and not _is_plain(weight) else weight


def _as_it_is(weight: Tensor, **_: Any) -> Tensor:
    return weight


def _is_plain(weight: Tensor) -> bool:
    return type(weight) in (torch.Tensor, torch.nn.Parameter)
