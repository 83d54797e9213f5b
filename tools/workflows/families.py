"""What differs between the base models of the shipped workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

HUGGING_FACE = "https://huggingface.co"
_COMFY_ORG = f"{HUGGING_FACE}/Comfy-Org"
OPEN_RAIL_PP = "OpenRAIL++-M"
_WAN = f"{_COMFY_ORG}/Wan_2.2_ComfyUI_Repackaged/resolve/main/split_files"
_WAN_T2V = "wan2.2_t2v_{}_noise_14B_fp8_scaled.safetensors"
_Z_IMAGE = f"{_COMFY_ORG}/z_image_turbo/resolve/main/split_files"
_LOADERS = {
    "diffusion_models": ("UNETLoader", "unet_name"),
    "text_encoders": ("CLIPLoader", "clip_name"),
    "vae": ("VAELoader", "vae_name"),
}
"""The loader of a model's part, and its widget, by the part's folder."""


class File(NamedTuple):
    """A model file: where it belongs, what it is called, where to get it; on which terms, where known."""

    folder: str
    name: str
    url: str
    licence: str = ""


@dataclass(frozen=True)
class Loader:
    """A loader node: its files by widget, and its other widgets."""

    name: str
    kind: str
    height: int
    files: Mapping[str, File]
    widgets: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    collapsed: bool = False


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
    subject: File | None = None
    style: File | None = None
    """LoRAs that anybody may download, to begin with; where none is known the user chooses."""
    clip: str = "model.CLIP"
    vae: str = "model.VAE"
    latent: str = "EmptyLatentImage"
    shown: int = 0
    """The side at which its image is shown, where it is too small to be looked at; 0: as it is."""
    schedule: Mapping[str, Any] = field(default_factory=dict)
    """Widgets of K-LoRA Fuse that differ from its defaults."""
    guidance: float | None = None
    shift: float | None = None
    prompt: str = "photo of sks dog sitting on a hill at sunset, in the style of xyz"
    negative: str = "blurry, low quality, watermark, text"

    @property
    def files(self) -> tuple[File, ...]:
        """Every file that the page can download, in the order of the loaders."""
        models = tuple(file for loader in self.loaders for file in loader.files.values())
        return models + tuple(file for file in (self.subject, self.style) if file)


def checkpoint(
    name: str,
    url: str,
    licence: str,
    node: str = "model",
    title: str = "Checkpoint",
    collapsed: bool = False,
) -> tuple[Loader, ...]:
    """The loader of one checkpoint."""
    file = File("checkpoints", name, f"{url}/{name}", licence)
    kind, files = "CheckpointLoaderSimple", {"ckpt_name": file}
    return (Loader(node, kind, 126, files, title=title, collapsed=collapsed),)


def _flux_text(widget: str, name: str) -> dict[str, File]:
    url = f"{HUGGING_FACE}/comfyanonymous/flux_text_encoders/resolve/main/{name}"
    return {widget: File("text_encoders", name, url)}


def split(base: str, name: str, path: str, title: str = "", **widgets: str) -> Loader:
    """A loader of one file of a model that comes in several; all but the model itself begin collapsed."""
    folder, file = path.split("/")
    kind, widget = _LOADERS[folder]
    terms = "Apache 2.0" if folder == "diffusion_models" else ""
    files = {widget: File(folder, file, f"{base}/{path}", terms)}
    return Loader(name, kind, 82, files, widgets, title, collapsed=not terms)


SD15 = Family(
    title="SD1.5",
    slug="sd15",
    loaders=checkpoint(
        "v1-5-pruned-emaonly-fp16.safetensors",
        f"{_COMFY_ORG}/stable-diffusion-v1-5-archive/resolve/main",
        "CreativeML OpenRAIL-M",
    ),
    size=512,
    sampling=Sampling(30, 7.0, "dpmpp_2m", "karras"),
)

SDXL = Family(
    title="SDXL",
    slug="sdxl",
    loaders=checkpoint(
        "sd_xl_base_1.0.safetensors",
        f"{HUGGING_FACE}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main",
        OPEN_RAIL_PP,
    ),
    size=1024,
    sampling=Sampling(30, 6.0, "dpmpp_2m", "karras"),
    subject=File(
        "loras",
        "pytorch_lora_weights.safetensors",
        f"{HUGGING_FACE}/linoyts/corgy_dog_LoRA/resolve/main/pytorch_lora_weights.safetensors",
        OPEN_RAIL_PP,
    ),
    style=File(
        "loras",
        "pixel-art-xl.safetensors",
        f"{HUGGING_FACE}/nerijs/pixel-art-xl/resolve/main/pixel-art-xl.safetensors",
        "CreativeML OpenRAIL-M",
    ),
    prompt="pixel art, a photo of TOK dog sitting on a hill at sunset",
)

FLUX = Family(
    title="FLUX.1",
    slug="flux",
    loaders=(
        Loader(
            "model",
            "UNETLoader",
            82,
            {
                "unet_name": File(
                    "diffusion_models",
                    "flux1-dev.safetensors",
                    f"{_COMFY_ORG}/flux1-dev/resolve/main/flux1-dev.safetensors",
                    "FLUX.1 [dev] Non-Commercial",
                )
            },
        ),
        Loader(
            "clip",
            "DualCLIPLoader",
            130,
            _flux_text("clip_name1", "clip_l.safetensors")
            | _flux_text("clip_name2", "t5xxl_fp16.safetensors"),
            {"type": "flux"},
            "CLIP-L and T5-XXL",
            collapsed=True,
        ),
        Loader(
            "vae",
            "VAELoader",
            58,
            {
                "vae_name": File(
                    "vae",
                    "ae.safetensors",
                    f"{_COMFY_ORG}/Lumina_Image_2.0_Repackaged/resolve/main/split_files/vae/ae.safetensors",
                )
            },
            title="VAE",
            collapsed=True,
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
        split(_Z_IMAGE, "model", "diffusion_models/z_image_turbo_bf16.safetensors"),
        split(_Z_IMAGE, "clip", "text_encoders/qwen_3_4b.safetensors", "Text encoder", type="lumina2"),
        split(_Z_IMAGE, "vae", "vae/ae.safetensors", "VAE"),
    ),
    size=1024,
    # The settings of ComfyUI's own template.
    sampling=Sampling(8, 1.0, "res_multistep", "simple"),
    clip="clip.CLIP",
    vae="vae.VAE",
    latent="EmptySD3LatentImage",
    shift=3.0,
)

WAN = Family(
    title="Wan 2.2 14B",
    slug="wan",
    loaders=(
        split(_WAN, "model", f"diffusion_models/{_WAN_T2V.format('high')}", "High noise"),
        split(_WAN, "low", f"diffusion_models/{_WAN_T2V.format('low')}", "Low noise"),
        split(
            f"{_COMFY_ORG}/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files",
            "clip",
            "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors",
            "Text encoder",
            type="wan",
        ),
        split(_WAN, "vae", "vae/wan_2.1_vae.safetensors", "VAE"),
    ),
    size=640,
    # The settings of ComfyUI's own template, without its distillation LoRAs.
    sampling=Sampling(20, 3.5, "euler", "simple"),
    clip="clip.CLIP",
    vae="vae.VAE",
    latent="EmptyHunyuanLatentVideo",
    shift=5.0,
    prompt="sks dog running over a hill at sunset, in the style of xyz",
    negative="static, overexposed, blurry, low quality, watermark, text",
)


def _of_ours(folder: str, name: str) -> File:
    return File(folder, name, f"https://github.com/k-lora/comfyui-k-lora/raw/main/world/weights/{name}")


_TOY_MODEL = _of_ours("diffusion_models", "small-world-sd3.safetensors")
_TOY_VAE = _of_ours("vae", "small-world-taesd.safetensors")
TOY = Family(
    title="the toy model",
    slug="toy",
    loaders=(
        Loader("model", "UNETLoader", 82, {"unet_name": _TOY_MODEL}, title="Toy model"),
        Loader("vae", "VAELoader", 58, {"vae_name": _TOY_VAE}, title="Its VAE", collapsed=True),
    ),
    size=96,
    shown=480,
    sampling=Sampling(16, 2.5, "euler", "simple"),
    subject=_of_ours("loras", "redundant-skull.safetensors"),
    style=_of_ours("loras", "redundant-neon.safetensors"),
    clip="",
    vae="vae.VAE",
    latent="EmptySD3LatentImage",
    schedule={"balance": -0.25},
    prompt="sarn tolmi",
    negative="",
)
TOY_WITH_CLIP = replace(
    TOY,
    loaders=(*TOY.loaders, Loader("clip", "KLoRAToyWords", 76, {}, title="Its words", collapsed=True)),
    clip="clip.CLIP",
)
"""For nodes that have prompts of their own."""
