"""Tiny networks of every family, in the host's own classes, with random weights."""

from __future__ import annotations

import importlib
from typing import Any

import comfy.model_patcher
import comfy.nested_tensor
import comfy.sample
import comfy.supported_models
import torch

from tests.support.families.inputs import FAMILIES, INPUTS, conditioning
from tests.support.host.networks import NETWORKS

STEPS = 4
_PREFIX = "diffusion_model."


def patcher(
    family: str, dtype: torch.dtype = torch.float32, rounded: torch.dtype | None = None, **config: Any
) -> Any:
    """A ModelPatcher of a family's network, its weights small random numbers in ``dtype``.

    ``rounded``: the same numbers as a network of that dtype has, in ``dtype``. 8 bits hold matrices alone and
    are computed in float32. ``config`` replaces fields of the network's configuration.
    """
    kind, own = NETWORKS[family]
    settings = getattr(comfy.supported_models, kind)({**own, **FAMILIES[family].config, **config})
    in_8_bits = dtype.itemsize == 1
    settings.set_inference_dtype(dtype, torch.float32 if in_8_bits else None)
    model = settings.get_model({}, "", device="cpu").eval()
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        scale = 0.1 if parameter.ndim < 2 else 0.5 / parameter[0].numel() ** 0.5
        data = torch.randn(parameter.shape, generator=generator) * scale
        if parameter.ndim < 2 and name.endswith("weight"):
            data += 1
        parameter.requires_grad_(False)
        numbers = rounded or dtype
        if numbers.itemsize > 1 or parameter.ndim == 2:
            data = data.to(numbers)
        keeps = in_8_bits and parameter.ndim != 2
        # Some networks keep a layer in float32 whatever the others are in.
        parameter.data = data.to(torch.float32 if keeps else parameter.dtype)
    for name, buffer in model.named_buffers():
        # Positions that a checkpoint holds: nothing else sets them.
        if name.endswith(("pos_embed", "inv_freq")):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.1)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def layers(pack: Any, model: Any) -> list[str]:
    """The names of all linear and convolution layers that run while sampling."""
    found = importlib.import_module(f"{pack.__name__}.nodes.host").Network(model)
    names = [name.removesuffix(".weight") for name in found.shapes if found.layer_shape(name) is not None]
    return [name.removeprefix(_PREFIX) for name in names if not found.runs_before_sampling(name + ".weight")]


def sample(
    model: Any, family: str, jitter: float = 0.0, sampler: str = "euler", start: Any = None, **options: Any
) -> torch.Tensor:
    """A short run of the host's own sampler, the same noise and prompt each time; ``start``: a latent.

    ``jitter`` is how far, relatively, each number of the noise is moved: what rounding alone does to a run.
    Picture and sound, where there are both, come as one row of numbers.
    """
    with torch.inference_mode():
        form = model.model.latent_format
        frames = (1,) if form.latent_dimensions == 3 else ()
        empty = torch.zeros(1, form.latent_channels, *frames, *INPUTS[family].size)
        latent = comfy.sample.fix_empty_latent_channels(model, empty if start is None else start)
        parts = latent.unbind() if latent.is_nested else [latent]
        noises = [_noise(part, seed, jitter) for seed, part in enumerate(parts, 3)]
        noise = comfy.nested_tensor.NestedTensor(noises) if latent.is_nested else noises[0]
        prompts = conditioning(family, 1), conditioning(family, 2)
        made = comfy.sample.sample(
            model,
            noise * 0 if options.get("disable_noise") else noise,
            options.pop("steps", STEPS),
            1.0,
            sampler,
            "simple",
            *prompts,
            latent,
            disable_pbar=True,
            seed=3,
            **options,
        )
        return torch.cat([part.flatten() for part in made.unbind()]) if made.is_nested else made


def _noise(latent: torch.Tensor, seed: int, jitter: float) -> torch.Tensor:
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
    return noise * (1 + jitter * torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed + 1)))
