"""The hero's graph: a subject and a style of the small world, each alone, added, and fused by K-LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.workflows import parts
from tools.workflows.editor.canvas import Canvas, Json
from tools.workflows.editor.host_nodes import HostNodes
from world.model.sampling import GUIDANCE
from world.places import BASE_FILE, VAE_FILE

from .cast import Cast
from .on_world import SIDE

_LEFT, _FUSE, _SHOWN, _SCALE = 310, 390, 300, 3
_SHOWN_HIGH, _FUSE_HIGH = 372, 720
_ADDED = (
    ("subject", "pair.subject", "base.MODEL"),
    ("style", "pair.style", "base.MODEL"),
    ("sum", "pair.style", "subject.model"),
)
"""LoRAs added as usual: name, LoRA, model."""


def graph(host: HostNodes, cast: Cast, dials: Mapping[str, Any], steps: int) -> Json:
    """Laid out for one screen; what samples is below it."""
    canvas = Canvas(host)
    subject, style = cast.files
    models = [
        canvas.node("base", "UNETLoader", (_LEFT, 82), {"unet_name": BASE_FILE.name}, title="Toy model"),
        canvas.node("vae", "VAELoader", (_LEFT, 58), {"vae_name": VAE_FILE.name}, title="Toy model: VAE"),
        canvas.node("pair", "KLoRALoadPair", (_LEFT, 225), {"subject_lora": subject, "style_lora": style}),
        _words(
            canvas, "positive", cast.words, f"Prompt: the triggers of {cast.subject} and {cast.styles[0]}"
        ),
    ]
    fuse = canvas.node(
        "fuse", "KLoRAFuse", (_FUSE, _FUSE_HIGH), dials,
        model="base.MODEL", subject="pair.subject", style="pair.style",
    )  # fmt: skip
    below = [
        _words(canvas, "negative", "", "Avoid: nothing"),
        canvas.node("size", "EmptySD3LatentImage", (_LEFT, 118), dict.fromkeys(("width", "height"), SIDE)),
        *(_added(canvas, *added) for added in _ADDED),
    ]
    said = ", ".join(f"{name} {value}" for name, value in dials.items())
    ways = {
        f"{cast.subject} LoRA alone": "subject.model",
        f"{cast.styles[0]} LoRA alone": "style.model",
        "both added, strength 1 each": "sum.model",
        f"K-LoRA: {said}": "fuse.model",
    }
    made = [_way(canvas, at, title, model, steps) for at, (title, model) in enumerate(ways.items())]
    shown = [nodes.pop() for nodes in made]
    x, _ = canvas.group("1 · Model and LoRAs", parts.BLUE, (0, 0), models)
    x, lowest = canvas.group("2 · Fuse", parts.GREEN, (x, 0), [fuse])
    canvas.group(f"3 · One noise, four ways: {cast.title}", parts.GOLD, (x, 0), shown[::2], shown[1::2])
    canvas.group("Sampling", parts.GREY, (0, lowest + 400), below, *made)
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3de700")


def _words(canvas: Canvas, name: str, words: str, title: str) -> Json:
    return canvas.node(name, "KLoRAToyWords", (_LEFT, 90), {"words": words}, title=title)


def _added(canvas: Canvas, name: str, lora: str, model: str) -> Json:
    return canvas.node(name, "LoraModelLoader", (_LEFT, 140), model=model, lora=lora)


def _way(canvas: Canvas, at: int, title: str, model: str, steps: int) -> list[Json]:
    """Sampler, decoder and enlargement of one way, and last what shows it."""
    sampling = {
        "seed": parts.SEED,
        "steps": steps,
        "cfg": GUIDANCE,
        "sampler_name": "euler",
        "scheduler": "simple",
    }
    return [
        canvas.node(
            f"sampler{at}", "KSampler", (_LEFT, 262), sampling, model=model,
            positive="positive.CONDITIONING", negative="negative.CONDITIONING", latent_image="size.LATENT",
        ),
        parts.decode(canvas, "vae.VAE", name=f"decode{at}", latent=f"sampler{at}"),
        canvas.node(
            f"larger{at}", "ImageScaleBy", (_LEFT, 106), {"upscale_method": "lanczos", "scale_by": _SCALE},
            image=f"decode{at}.IMAGE",
        ),
        canvas.node(
            f"shown{at}", "PreviewImage", (_SHOWN, _SHOWN_HIGH), title=title, images=f"larger{at}.IMAGE"
        ),
    ]  # fmt: skip
