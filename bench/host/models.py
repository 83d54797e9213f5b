"""Models in the host's own classes with random weights, and LoRAs for them. Needs the host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch

from tools.tiny.architectures import FLUX, SD15, SDXL

_SDXL_SHALLOW = {
    **SDXL,
    "transformer_depth": [0, 0, 1, 1, 2, 2],
    "transformer_depth_middle": 2,
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
}
_ATTENTION = re.compile(
    r"attn[12]\.to_(q|k|v|out\.0)$|(img|txt)_attn\.(qkv|proj)$|single_blocks\.\d+\.linear[12]$"
)

_TRANSFORMER = re.compile(r"transformer_blocks|proj_in$|proj_out$")


@dataclass(frozen=True)
class Case:
    """A model, the size of its latent, and how it is run.

    ``conditioning`` is (tokens, width, width of the pooled part), ``gib`` the GPU memory that it needs.
    """

    title: str
    family: str
    config: Mapping[str, Any] = field(repr=False)
    latent: tuple[int, int, int]
    conditioning: tuple[int, int, int]
    dtype: torch.dtype
    cfg: float
    evaluations: int
    rounds: int
    gib: float = 0.0
    scheduler: str = "normal"


CPU_CASES = {
    "sd15": Case(
        "SD1.5, the whole UNet, 512 x 512, float32, CPU",
        "SD15",
        SD15,
        latent=(4, 64, 64),
        conditioning=(77, 768, 0),
        dtype=torch.float32,
        cfg=1.0,
        evaluations=1,
        rounds=3,
    ),
    "sdxl-shallow": Case(
        "SDXL layers at full width, 17 transformer blocks of 70, 512 x 512, float32, CPU",
        "SDXL",
        _SDXL_SHALLOW,
        latent=(4, 64, 64),
        conditioning=(77, 2048, 1280),
        dtype=torch.float32,
        cfg=1.0,
        evaluations=1,
        rounds=3,
    ),
}
GPU_CASES = {
    "sdxl": Case(
        "SDXL, 1024 x 1024, bf16, GPU",
        "SDXL",
        SDXL,
        latent=(4, 128, 128),
        conditioning=(77, 2048, 1280),
        dtype=torch.bfloat16,
        cfg=5.0,
        evaluations=10,
        rounds=5,
        gib=12,
    ),
    "flux": Case(
        "FLUX format, 1024 x 1024, bf16, GPU",
        "Flux",
        FLUX,
        latent=(16, 128, 128),
        conditioning=(512, 4096, 768),
        dtype=torch.bfloat16,
        cfg=1.0,
        evaluations=10,
        rounds=3,
        gib=34,
        scheduler="simple",
    ),
}


def shrunk(case: Case) -> Case:
    """The same model on a small latent, once: to try the code, not to measure."""
    return replace(case, latent=(case.latent[0], 8, 8), rounds=1)


def build(case: Case) -> Any:
    """A ModelPatcher with random weights on its compute device: variance is kept from layer to layer."""
    device = comfy.model_management.get_torch_device()
    config = getattr(comfy.supported_models, case.family)(case.config)
    config.set_inference_dtype(case.dtype, None)
    model = config.get_model({}, "", device=device)
    torch.manual_seed(0)
    for name, weight in model.diffusion_model.named_parameters():
        if weight.ndim > 1:
            weight.uniform_(-1, 1).mul_((3 / weight[0].numel()) ** 0.5)
        else:
            weight.fill_(1.0 if name.endswith(("weight", "scale")) else 0.0)
    patcher = comfy.model_patcher.ModelPatcher(
        model, load_device=device, offload_device=comfy.model_management.unet_offload_device()
    )
    if device.type == "cuda":
        # It lies there already: the host would look for room for a second one, and load a part of it.
        comfy.model_management.load_models_gpu([patcher], force_full_load=True)
    return patcher


def attention_layers(model: Any) -> list[str]:
    """Names, below the diffusion model, of its attention projections."""
    return [name for name, _ in model.diffusion_model.named_modules() if _ATTENTION.search(name)]


def random_lora(model: Any, rank: int, seed: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A LoRA of all attention projections; its size against the weights differs from layer to layer."""
    rng = torch.Generator().manual_seed(seed)
    lora = {}
    for name in attention_layers(model):
        layer = model.diffusion_model.get_submodule(name)
        size = 0.1 * torch.exp(0.5 * torch.randn((), generator=rng))
        up = torch.randn(layer.out_features, rank, generator=rng) * size / rank**0.5
        down = torch.randn(rank, layer.in_features, generator=rng) / layer.in_features**0.5
        lora[f"diffusion_model.{name}.lora_B.weight"] = up.to(dtype)
        lora[f"diffusion_model.{name}.lora_A.weight"] = down.to(dtype)
    return lora


def conditioning(case: Case) -> list:
    """Random text in the host's conditioning format."""
    rng = torch.Generator().manual_seed(5)
    tokens, width, pooled = case.conditioning
    extra = {"pooled_output": torch.randn(1, pooled, generator=rng)} if pooled else {}
    return [[torch.randn(1, tokens, width, generator=rng), extra]]


def sdxl_without_weights() -> Any:
    """A ModelPatcher of an SDXL of full shapes that takes no memory: nothing but Fuse can be done with it."""
    config = comfy.supported_models.SDXL(SDXL)
    config.set_inference_dtype(torch.float16, None)
    cpu = torch.device("cpu")
    model = config.get_model({}, "", device="meta")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def kohya_lora(model: Any, rank: int, seed: int) -> dict[str, torch.Tensor]:
    """A LoRA of all linear layers of the transformers, in float16, as kohya's trainer stores them."""
    rng = torch.Generator().manual_seed(seed)
    lora = {}
    for name, layer in model.model.diffusion_model.named_modules():
        if not _TRANSFORMER.search(name) or not isinstance(layer, torch.nn.Linear):
            continue
        key = f"lora_unet_{name.replace('.', '_')}"
        up = torch.randn(layer.out_features, rank, generator=rng)
        down = torch.randn(rank, layer.in_features, generator=rng)
        lora[f"{key}.lora_up.weight"], lora[f"{key}.lora_down.weight"] = up.half(), down.half()
        lora[f"{key}.alpha"] = torch.tensor(rank / 2).half()
    return lora
