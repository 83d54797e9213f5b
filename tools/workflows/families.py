"""What differs between the base models of the shipped workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

HUGGING_FACE = "https://huggingface.co"
_COMFY_ORG = f"{HUGGING_FACE}/Comfy-Org"
_Z_IMAGE = f"{_COMFY_ORG}/z_image_turbo/resolve/main/split_files"


class File(NamedTuple):
    """A model file: where it belongs, what it is called, where to get it."""

    folder: str
    name: str
    url: str


@dataclass(frozen=True)
class Loader:
    """A loader node: its files by widget, and its other widgets."""

    name: str
    kind: str
    height: int
    files: Mapping[str, File]
    widgets: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


class Sampling(NamedTuple):
    """How images are sampled. At cfg 1 a negative prompt has no effect, so there is none."""

    steps: int
    cfg: float
    sampler: str
    scheduler: str


@dataclass(frozen=True)
class Family:
    """One base model."""

    title: str
    slug: str
    loaders: tuple[Loader, ...]
    size: int
    sampling: Sampling
    clip: str = "model.CLIP"
    vae: str = "model.VAE"
    latent: str = "EmptyLatentImage"
    schedule: Mapping[str, Any] = field(default_factory=dict)
    """Widgets of K-LoRA Fuse that differ from its defaults."""
    guidance: float | None = None
    shift: float | None = None
    prompt: str = "photo of sks dog sitting on a hill at sunset, in the style of xyz"
    negative: str = "blurry, low quality, watermark, text"

    @property
    def files(self) -> tuple[File, ...]:
        """Every model file, in the order of the loaders."""
        return tuple(file for loader in self.loaders for file in loader.files.values())


def _checkpoint(name: str, url: str) -> tuple[Loader, ...]:
    file = File("checkpoints", name, f"{url}/{name}")
    return (Loader("model", "CheckpointLoaderSimple", 128, {"ckpt_name": file}, title="Checkpoint"),)


def _flux_text(widget: str, name: str) -> dict[str, File]:
    url = f"{HUGGING_FACE}/comfyanonymous/flux_text_encoders/resolve/main/{name}"
    return {widget: File("text_encoders", name, url)}


def _split(name: str, kind: str, height: int, widget: str, path: str, **widgets: str) -> Loader:
    folder, file = path.split("/")
    return Loader(name, kind, height, {widget: File(folder, file, f"{_Z_IMAGE}/{path}")}, widgets)


SD15 = Family(
    title="SD1.5",
    slug="sd15",
    loaders=_checkpoint(
        "v1-5-pruned-emaonly-fp16.safetensors", f"{_COMFY_ORG}/stable-diffusion-v1-5-archive/resolve/main"
    ),
    size=512,
    sampling=Sampling(30, 7.0, "dpmpp_2m", "karras"),
)

SDXL = Family(
    title="SDXL",
    slug="sdxl",
    loaders=_checkpoint(
        "sd_xl_base_1.0.safetensors", f"{HUGGING_FACE}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main"
    ),
    size=1024,
    sampling=Sampling(30, 6.0, "dpmpp_2m", "karras"),
)

FLUX = Family(
    title="FLUX.1",
    slug="flux",
    loaders=(
        Loader(
            "model",
            "UNETLoader",
            90,
            {
                "unet_name": File(
                    "diffusion_models",
                    "flux1-dev.safetensors",
                    f"{_COMFY_ORG}/flux1-dev/resolve/main/flux1-dev.safetensors",
                )
            },
        ),
        Loader(
            "clip",
            "DualCLIPLoader",
            144,
            _flux_text("clip_name1", "clip_l.safetensors")
            | _flux_text("clip_name2", "t5xxl_fp16.safetensors"),
            {"type": "flux"},
        ),
        Loader(
            "vae",
            "VAELoader",
            90,
            {
                "vae_name": File(
                    "vae",
                    "ae.safetensors",
                    f"{_COMFY_ORG}/Lumina_Image_2.0_Repackaged/resolve/main/split_files/vae/ae.safetensors",
                )
            },
        ),
    ),
    size=1024,
    sampling=Sampling(28, 1.0, "euler", "simple"),
    clip="clip.CLIP",
    vae="vae.VAE",
    latent="EmptySD3LatentImage",
    schedule={"schedule": "s*"},
    guidance=3.5,
)

Z_IMAGE = Family(
    title="Z-Image",
    slug="zimage",
    loaders=(
        _split("model", "UNETLoader", 90, "unet_name", "diffusion_models/z_image_turbo_bf16.safetensors"),
        _split("clip", "CLIPLoader", 116, "clip_name", "text_encoders/qwen_3_4b.safetensors", type="lumina2"),
        _split("vae", "VAELoader", 90, "vae_name", "vae/ae.safetensors"),
    ),
    size=1024,
    # The settings of ComfyUI's own template.
    sampling=Sampling(8, 1.0, "res_multistep", "simple"),
    clip="clip.CLIP",
    vae="vae.VAE",
    latent="EmptySD3LatentImage",
    shift=3.0,
)
