"""Nodes and groups that several workflows share, with their settings in one place."""

from __future__ import annotations

from collections.abc import Iterable

from .canvas import Canvas, Json

BLUE, GREEN, PURPLE, GOLD, GREY = "#3f789e", "#4c8a5b", "#8a63a8", "#b58b2a", "#666"
FUSE_WITH_MAP = 720
"""Height of K-LoRA Fuse once its live map has appeared."""
SEED = 20250218
HUGGING_FACE = "https://huggingface.co"

File = tuple[str, str, str]
"""(models subfolder, file name, where to get it)."""


def note(canvas: Canvas, text: str, files: Iterable[File], height: int) -> Json:
    """The one note of a workflow, with the model files listed at its end."""
    models = "\n".join(f"- `models/{folder}/` [{name}]({url})" for folder, name, url in files)
    full = f"{text}\n**Models**\n\n{models}\n"
    return canvas.node("note", "MarkdownNote", (400, height), full, title="Read me")


def loader(
    canvas: Canvas, name: str, kind: str, height: int, file: File, *more: str, title: str = "", **wires: str
) -> Json:
    """A loader of one file; the editor offers the download if it is missing."""
    folder, file_name, url = file
    node = canvas.node(name, kind, (380, height), file_name, *more, title=title, **wires)
    node["properties"] |= {"models": [{"name": file_name, "url": url, "directory": folder}]}
    return node


def pair(canvas: Canvas, slug: str) -> Json:
    """The two LoRA files, chosen once."""
    files = (f"subject-{slug}.safetensors", f"style-{slug}.safetensors")
    return canvas.node("pair", "KLoRALoadPair", (380, 160), *files)


def fuse(
    canvas: Canvas,
    *,
    name: str = "fuse",
    model: str = "model.MODEL",
    clip: str = "model.CLIP",
    balance: float = 0.0,
    progress: str = "steps",
) -> Json:
    """K-LoRA Fuse with room for its live map."""
    schedule = ("s", 1.5, 0.5)
    return canvas.node(
        name, "KLoRAFuse", (380, FUSE_WITH_MAP),
        1.0, 1.0, balance, *schedule, "paper", "shared", "keep", progress,
        model=model, subject="pair.subject", style="pair.style", clip=clip,
    )  # fmt: skip


def prompt(canvas: Canvas, text: str, clip: str = "fuse.clip") -> Json:
    """What to paint."""
    return canvas.node("positive", "CLIPTextEncode", (420, 150), text, title="Prompt", clip=clip)


def avoid(canvas: Canvas, text: str, clip: str = "fuse.clip") -> Json:
    """What to avoid."""
    return canvas.node("negative", "CLIPTextEncode", (420, 110), text, title="Avoid", clip=clip)


def nothing(canvas: Canvas) -> Json:
    """In the place of what to avoid where cfg is 1."""
    return canvas.node("negative", "ConditioningZeroOut", (420, 36), conditioning="positive.CONDITIONING")


def number(canvas: Canvas, name: str, value: int, title: str) -> Json:
    """One number for several nodes."""
    return canvas.node(name, "PrimitiveInt", (420, 82), value, "fixed", title=title)


def sampler(
    canvas: Canvas,
    settings: tuple[int, float, str, str],
    denoise: float = 1.0,
    *,
    name: str = "sampler",
    model: str = "fuse.model",
    **wires: str,
) -> Json:
    """A KSampler; `settings` are its steps, cfg, sampler and scheduler."""
    wires = {"steps": "steps.INT", "latent_image": "size.LATENT"} | wires
    return canvas.node(
        name, "KSampler", (340, 262), SEED, "fixed", *settings, denoise,
        model=model, positive="positive.CONDITIONING", negative="negative.CONDITIONING", **wires,
    )  # fmt: skip


def decode(canvas: Canvas, vae: str = "model.VAE", *, name: str = "decode", latent: str = "sampler") -> Json:
    """The picture of a latent."""
    return canvas.node(name, "VAEDecode", (340, 56), samples=f"{latent}.LATENT", vae=vae)


def one_image(
    canvas: Canvas,
    steps: int,
    start: Json,
    models: list[Json],
    fuse: Json,
    prompts: list[list[Json]],
    image: list[Json],
    prefix: str,
) -> None:
    """Lay out a workflow that ends in one image, with the report and the selection map below."""
    save = canvas.node("save", "SaveImage", (560, 640), prefix, title="Fused image", images="decode.IMAGE")
    report = canvas.node("report", "PreviewAny", (580, 690), title="Report", source="fuse.report")
    map_ = canvas.node("map", "KLoRASelectionMap", (580, 92), steps, plan="fuse.plan", steps="steps.INT")
    shown = canvas.node("shown", "PreviewImage", (640, 830), title="Selection map", images="map.image")
    x, _ = canvas.group("Start here", GREY, (0, 0), [start])
    x, _ = canvas.group("1 · Model and LoRAs", BLUE, (x, 0), models)
    x_right, _ = canvas.group("2 · Fuse", GREEN, (x, 0), [fuse])
    title = "3 · Prompt" if len(prompts) == 1 else "3 · Picture and prompt"
    x, below_prompt = canvas.group(title, PURPLE, (x_right, 0), *prompts)
    x, below_image = canvas.group("4 · Image", GOLD, (x, 0), image)
    _, below_result = canvas.group("Result", GOLD, (x, 0), [save])
    row = max(below_prompt, below_image, below_result)
    canvas.group("What K-LoRA chose", GREEN, (x_right, row), [map_, report], [shown])
