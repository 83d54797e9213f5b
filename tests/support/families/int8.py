"""Networks with INT8 weights, as the host's loader makes them, and the same numbers in float32."""

from __future__ import annotations

import json
from typing import Any

import comfy.model_patcher
import comfy.supported_models
import torch
from comfy.quant_ops import QuantizedTensor

from tests.support.families.inputs import FAMILIES
from tests.support.families.nets import patcher
from tests.support.host.networks import NETWORKS

LAYOUT, FORMAT = "TensorWiseINT8Layout", "int8_tensorwise"
BLOCKS = "blocks.", "layers."
# Rotations take so many columns at once.
GROUP = 256


def pair_of(family: str, convrot: bool = False) -> tuple[Any, Any]:
    """(a ModelPatcher whose blocks' matrices are in INT8, one in float32 that has the very same numbers)."""
    exact = patcher(family)
    weights = dict(exact.model.diffusion_model.state_dict())
    for name, module in exact.model.diffusion_model.named_modules():
        if not isinstance(module, torch.nn.Linear) or not any(part in name for part in BLOCKS):
            continue
        if convrot and module.in_features % GROUP:
            continue
        held = QuantizedTensor.from_float(module.weight.detach(), LAYOUT, per_channel=True, convrot=convrot)
        config = {"format": FORMAT, **({"convrot": True, "convrot_groupsize": GROUP} if convrot else {})}
        weights[f"{name}.weight"] = held._qdata
        weights[f"{name}.weight_scale"] = held._params.scale
        marker = json.dumps(config).encode()
        weights[f"{name}.comfy_quant"] = torch.tensor(list(marker), dtype=torch.uint8)
        module.weight.data = held.dequantize()
    kind, config = NETWORKS[family]
    settings = getattr(comfy.supported_models, kind)({**config, **FAMILIES[family].config})
    settings.quant_config = {"mixed_ops": True}
    settings.set_inference_dtype(torch.float32, torch.float32)
    model = settings.get_model({}, "", device="cpu").eval()
    model.load_model_weights(weights, "")
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu), exact


def int8_layers(model: Any) -> list[str]:
    """The names, below the network, of the layers in INT8."""
    network = model.model.diffusion_model
    return [
        name
        for name, module in network.named_modules()
        if isinstance(getattr(module, "weight", None), QuantizedTensor)
    ]
