"""Nodes that several workflows share, with their settings in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .canvas import Canvas, Json
from .families import File, Loader, Sampling

BLUE, GREEN, PURPLE, GOLD, GREY = "#3f789e", "#4c8a5b", "#8a63a8", "#b58b2a", "#666"
FUSE_WITH_MAP = 790
"""Height of K-LoRA Fuse once its live map has appeared."""
SEED = 20250218


def note(canvas: Canvas, text: str, files: Iterable[File], height: int) -> Json:
    """The one note of a workflow, with the model files listed at its end."""
    models = "\n".join(f"- `models/{file.folder}/` [{file.name}]({file.url})" for file in files)
    full = f"{text}\n**Models**\n\n{models}\n"
    return canvas.node("note", "MarkdownNote", (400, height), {"text": full}, title="Read me")


def offered(node: Json, files: Iterable[File]) -> Json:
    """The node, with files whose download the editor offers if they are missing."""
    node["properties"] |= {
        "models": [{"name": file.name, "url": file.url, "directory": file.folder} for file in files]
    }
    return node


def loader(canvas: Canvas, loader: Loader) -> Json:
    """A loader of a base model's files."""
    names = {widget: file.name for widget, file in loader.files.items()}
    node = canvas.node(
        loader.name, loader.kind, (380, loader.height), names | dict(loader.widgets), title=loader.title
    )
    return offered(node, loader.files.values())


def pair(canvas: Canvas, slug: str) -> Json:
    """The two LoRA files, chosen once."""
    files = {f"{role}_lora": f"{role}-{slug}.safetensors" for role in ("subject", "style")}
    return canvas.node("pair", "KLoRALoadPair", (380, 160), files)


def fuse(
    canvas: Canvas,
    *,
    name: str = "fuse",
    model: str = "model.MODEL",
    clip: str = "model.CLIP",
    widgets: Mapping[str, Any] | None = None,
) -> Json:
    """K-LoRA Fuse with room for its live map; `widgets` are those that differ from its defaults."""
    return canvas.node(
        name, "KLoRAFuse", (380, FUSE_WITH_MAP), widgets,
        model=model, subject="pair.subject", style="pair.style", clip=clip,
    )  # fmt: skip


def prompt(canvas: Canvas, text: str, clip: str = "fuse.clip") -> Json:
    """What to paint."""
    return canvas.node("positive", "CLIPTextEncode", (420, 150), {"text": text}, title="Prompt", clip=clip)


def avoid(canvas: Canvas, text: str, clip: str = "fuse.clip") -> Json:
    """What to avoid."""
    return canvas.node("negative", "CLIPTextEncode", (420, 110), {"text": text}, title="Avoid", clip=clip)


def nothing(canvas: Canvas) -> Json:
    """In the place of what to avoid where cfg is 1."""
    return canvas.node("negative", "ConditioningZeroOut", (420, 36), conditioning="positive.CONDITIONING")


def empty(canvas: Canvas, kind: str, side: int) -> Json:
    """The empty latent of a square image."""
    size = {"width": side, "height": side, "batch_size": 1}
    return canvas.node("size", kind, (420, 118), size, title="Image size")


def number(canvas: Canvas, name: str, value: int, title: str) -> Json:
    """One number for several nodes."""
    return canvas.node(name, "PrimitiveInt", (420, 82), {"value": value}, title=title)


def sampler(
    canvas: Canvas,
    sampling: Sampling,
    denoise: float = 1.0,
    *,
    name: str = "sampler",
    model: str = "fuse.model",
    **wires: str,
) -> Json:
    """A KSampler."""
    widgets = {"seed": SEED, "steps": sampling.steps, "cfg": sampling.cfg, "denoise": denoise}
    widgets |= {"sampler_name": sampling.sampler, "scheduler": sampling.scheduler}
    wires = {
        "model": model,
        "positive": "positive.CONDITIONING",
        "negative": "negative.CONDITIONING",
        "steps": "steps.INT",
        "latent_image": "size.LATENT",
    } | wires
    return canvas.node(name, "KSampler", (340, 262), widgets, **wires)


def decode(canvas: Canvas, vae: str = "model.VAE", *, name: str = "decode", latent: str = "sampler") -> Json:
    """The picture of a latent."""
    return canvas.node(name, "VAEDecode", (340, 56), samples=f"{latent}.LATENT", vae=vae)
