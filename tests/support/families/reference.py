"""What a LoRA file does to a model by the host's own loader, in float64."""

from __future__ import annotations

from typing import Any

import comfy.lora
import comfy.lora_convert
import torch

from tests.support.host.reference import Reference

PREFIX, SUFFIX = "diffusion_model.", ".weight"


def changes(
    model: Any, lora: dict[str, torch.Tensor], dtype: torch.dtype = torch.float64
) -> dict[str, torch.Tensor]:
    """{weight's name: its change, of its shape} by a file for a BaseModel, worked out in ``dtype``."""
    key_map = comfy.lora.model_lora_keys_unet(model, {})
    found = comfy.lora.load_lora(comfy.lora_convert.convert_lora(dict(lora)), key_map, log_missing=False)
    grouped: dict[str, list[Any]] = {}
    for place, patch in found.items():
        key, offset, function = (*place, None, None)[:3] if isinstance(place, tuple) else (place, None, None)
        grouped.setdefault(key, []).append((1.0, patch, 1.0, offset, function))
    deltas = {}
    for key, patches in grouped.items():
        weight = model.get_parameter(key).detach().to(dtype)
        made = comfy.lora.calculate_weight(patches, weight.clone(), key, intermediate_dtype=dtype)
        # The host logs what it can't do, and leaves the weight as it is.
        assert not torch.equal(made, weight), key
        deltas[key] = (made - weight).double()
    return deltas


def reference(
    model: Any, subject: dict, style: dict, ranks: tuple[int, int], dtype: torch.dtype = torch.float64
) -> Reference:
    """K-LoRA by rewriting whole weights; the LoRAs are as the host reads them, in ``dtype``."""
    made = Reference({}, {})
    for name, lora, rank in (("subject", subject, ranks[0]), ("style", style, ranks[1])):
        dense = {
            key.removeprefix(PREFIX).removesuffix(SUFFIX): (delta.flatten(1), rank)
            for key, delta in changes(model, lora, dtype).items()
        }
        setattr(made, name, dense)
    made.compete()
    return made
