"""Builds the tiny checkpoints from the host's own model classes. Run inside the host's interpreter."""

from __future__ import annotations

import shutil
from typing import Any

import torch
from safetensors.torch import save_file

from ..host.find import REPO
from . import FILES, MODELS_DIR, architectures, model_path, z_image
from .taming import denoising_unet, painting_decoder
from .weights import random_weights

_SEED = 20250218
_OP = {"dtype": torch.float16, "device": "meta"}


def _shapes(module: torch.nn.Module, prefix: str = "") -> dict[str, torch.Size]:
    return {prefix + key: value.shape for key, value in module.state_dict().items()}


def unet(config: dict[str, object]) -> dict[str, torch.Tensor]:
    """A UNet's weights, in float16, under the names of a checkpoint."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    network = UNetModel(**config, operations=comfy.ops.disable_weight_init, **_OP)
    weights = random_weights(_shapes(network, "model.diffusion_model."), _SEED, torch.float16)
    denoising_unet(weights)
    return weights


def _tiny_vae(latent_format: Any) -> dict[str, torch.Tensor]:
    """A TAESD, the smallest autoencoder that the VAE loader knows."""
    import comfy.taesd.taesd

    vae = comfy.taesd.taesd.TAESD(latent_channels=latent_format.latent_channels)
    weights = random_weights(_shapes(vae), _SEED, torch.float32)
    painting_decoder(weights, latent_format.scale_factor, getattr(latent_format, "shift_factor", 0.0))
    return weights


def _text_encoder(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A text encoder under the loader's own key names; its size is fixed by the host."""
    return random_weights(_shapes(model), _SEED, torch.float16, gain=0.5)


def _save(tensors: dict[str, torch.Tensor], folder: str, name: str) -> None:
    path = model_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata={"format": "pt"})
    partial.replace(path)


def build_sd15() -> None:
    """checkpoints/tiny-sd15.safetensors: UNet, CLIP-L, VAE."""
    import comfy.sd1_clip
    import comfy.supported_models

    config = comfy.supported_models.SD15(architectures.SD15_UNET)
    clip = _text_encoder(comfy.sd1_clip.SD1ClipModel(**_OP))
    vae = {f"first_stage_model.{key}": value for key, value in _tiny_vae(config.latent_format).items()}
    sd = {**unet(architectures.SD15_UNET), **config.process_clip_state_dict_for_saving(clip), **vae}
    _save(sd, "checkpoints", "tiny-sd15.safetensors")


def build_sdxl() -> None:
    """checkpoints/tiny-sdxl.safetensors: UNet, CLIP-L, CLIP-G (1.4 GB: the host fixes its size), VAE."""
    import comfy.sdxl_clip
    import comfy.supported_models

    config = comfy.supported_models.SDXL(architectures.SDXL_UNET)
    clip = _text_encoder(comfy.sdxl_clip.SDXLClipModel(**_OP))
    vae = {f"first_stage_model.{key}": value for key, value in _tiny_vae(config.latent_format).items()}
    sd = {**unet(architectures.SDXL_UNET), **config.process_clip_state_dict_for_saving(clip), **vae}
    _save(sd, "checkpoints", "tiny-sdxl.safetensors")


def flux(config: dict[str, object]) -> dict[str, torch.Tensor]:
    """A FLUX's weights, in bfloat16, under the names of a diffusion model."""
    import comfy.ldm.flux.model
    import comfy.ops

    dit = comfy.ldm.flux.model.Flux(
        **config, operations=comfy.ops.disable_weight_init, dtype=torch.bfloat16, device="meta"
    )
    weights = random_weights(_shapes(dit), _SEED, torch.bfloat16)
    weights["final_layer.linear.weight"] *= 0.3
    return weights


def build_flux() -> None:
    """diffusion_models/tiny-flux.safetensors and vae/tiny-ae.safetensors, without text encoders."""
    import comfy.latent_formats

    _save(flux(architectures.FLUX_DIT), "diffusion_models", "tiny-flux.safetensors")
    _save(_tiny_vae(comfy.latent_formats.Flux()), "vae", "tiny-ae.safetensors")


def build_zimage() -> None:
    """diffusion_models/tiny-zimage.safetensors and, as FLUX's, vae/tiny-ae.safetensors."""
    import comfy.latent_formats

    weights = random_weights(z_image.shapes(), _SEED, torch.bfloat16)
    weights["final_layer.linear.weight"] *= 0.3
    _save(weights, "diffusion_models", "tiny-zimage.safetensors")
    _save(_tiny_vae(comfy.latent_formats.Flux()), "vae", "tiny-ae.safetensors")


def build_refiner() -> None:
    """diffusion_models/tiny-refiner.safetensors: SDXL's refiner without text encoder and VAE."""
    _save(unet(architectures.REFINER_UNET), "diffusion_models", "tiny-refiner.safetensors")


def build_wan() -> None:
    """diffusion_models/tiny-wan-high and -low, two models, and vae/tiny-wan-vae, a TAEHV; no text encoder."""
    import comfy.ldm.wan.model
    import comfy.ops
    import comfy.taesd.taehv

    dit = comfy.ldm.wan.model.WanModel(
        **architectures.WAN_DIT, operations=comfy.ops.disable_weight_init, **_OP
    )
    for seed, part in enumerate(("high", "low"), _SEED):
        _save(
            random_weights(_shapes(dit), seed, torch.float16),
            "diffusion_models",
            f"tiny-wan-{part}.safetensors",
        )
    # In float16 the loader would take it for Hunyuan's.
    vae = comfy.taesd.taehv.TAEHV(latent_channels=16)
    _save(random_weights(_shapes(vae), _SEED, torch.float32), "vae", "tiny-wan-vae.safetensors")


def build_toy() -> None:
    """The toy model of the template Try it now, trained and as it is: model, VAE and a pair of LoRAs."""
    for name, (folder, target) in _TOY.items():
        path = model_path(folder, f"tiny-{target}.safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPO / "world" / "weights" / f"{name}.safetensors", path)


_TOY = {
    "small-world-sd3": ("diffusion_models", "toy"),
    "small-world-taesd": ("vae", "toy-vae"),
    "redundant-skull": ("loras", "subject-toy"),
    "redundant-neon": ("loras", "style-toy"),
}
_BUILDERS = {
    "sd15": build_sd15,
    "sdxl": build_sdxl,
    "flux": build_flux,
    "zimage": build_zimage,
    "toy": build_toy,
    "refiner": build_refiner,
    "wan": build_wan,
}


def ensure(*families: str) -> None:
    """Build what is missing of the named families."""
    MODELS_DIR.mkdir(parents=True, exist_ok=True)
    for family in families:
        if not all((MODELS_DIR / file).is_file() for file in FILES[family]):
            with torch.no_grad():
                _BUILDERS[family]()
