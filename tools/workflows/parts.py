"""Nodes that several workflows share, with their settings in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .editor.canvas import Canvas, Json
from .editor.layout import FILL
from .families import HUGGING_FACE, Family, File, Loader, Sampling

BLUE, GREEN, PURPLE, GOLD, GREY = "#3f789e", "#4c8a5b", "#8a63a8", "#b58b2a", "#666"
SEED = 20250218


def note(canvas: Canvas, text: str) -> Json:
    """What to change first, and the one dial to turn."""
    return canvas.node("note", "MarkdownNote", (300, FILL), {"text": text}, title="Read me")


def model_files(canvas: Canvas, files: Iterable[File]) -> Json:
    """Where the model files come from and where they go, for who opens it; the page offers them itself."""
    text = "\n".join(_listed(file) for file in files)
    return canvas.node(
        "files", "MarkdownNote", (300, 200), {"text": f"{text}\n"}, title="Model files", collapsed=True
    )


def _listed(file: File) -> str:
    terms = f", {file.licence}" if file.licence else ""
    return f"- `{file.folder}/` [{file.name}]({file.url}){terms}"


def closed(node: Json) -> Json:
    """The node, collapsed."""
    node["flags"] = {"collapsed": True}
    return node


def offered(node: Json, files: Iterable[File]) -> Json:
    """The node, with files whose download the editor offers if they are missing: from Hugging Face alone."""
    theirs = [file for file in files if file.url.startswith(HUGGING_FACE)]
    node["properties"] |= {
        "models": [{"name": file.name, "url": file.url, "directory": file.folder} for file in theirs]
    }
    return node


def loader(canvas: Canvas, loader: Loader) -> Json:
    """A loader of a base model's files."""
    names = {widget: file.name for widget, file in loader.files.items()}
    node = canvas.node(
        loader.name,
        loader.kind,
        (300, loader.height),
        names | dict(loader.widgets),
        title=loader.title,
        collapsed=loader.collapsed,
    )
    return offered(node, loader.files.values())


def pair(canvas: Canvas, family: Family, which: str = "", name: str = "pair") -> Json:
    """The two LoRA files, chosen once; ``which`` says of two pairs which one it is."""
    files = {"subject": family.subject, "style": family.style}
    names = {f"{role}_lora": file.name if file else theirs(role, which) for role, file in files.items()}
    title = f"Load Subject + Style LoRA ({which})" if which else ""
    known = [file for file in files.values() if file]
    # The node's own line on its files, and the page's on those that are missing.
    node = canvas.node(name, "KLoRALoadPair", (300, 218 if known else 194), names, title=title)
    return offered(node, known)


def theirs(role: str, which: str = "") -> str:
    """In the place of a file that only the user has. No model file's name: the page would miss it."""
    return f"your {role} LoRA" + (f", {which}" if which else "")


def fuse(
    canvas: Canvas,
    *,
    name: str = "fuse",
    model: str = "model.MODEL",
    clip: str = "model.CLIP",
    pair: str = "pair",
    widgets: Mapping[str, Any] | None = None,
    title: str = "",
) -> Json:
    """K-LoRA Fuse with room for its live map; `widgets` are those that differ from its defaults."""
    return canvas.node(
        name, "KLoRAFuse", (320, FILL), widgets, title=title, collapsed=bool(title),
        model=model, subject=f"{pair}.subject", style=f"{pair}.style", **({"clip": clip} if clip else {}),
    )  # fmt: skip


def lora(canvas: Canvas, name: str, role: str, title: str) -> Json:
    """One LoRA file of the user's, not applied."""
    return canvas.node(name, "KLoRALoadLora", (300, 126), {"lora_name": theirs(role)}, title=title)


def member(
    canvas: Canvas,
    name: str,
    source: str,
    role: str,
    before: str = "",
    strength: float = 1.0,
    collapsed: bool = False,
    by_hand: Mapping[str, Any] | None = None,
) -> Json:
    """A LoRA Set of the one `before` it and one LoRA more; `by_hand` says when and where that one works."""
    wires = {"lora": source} | ({"set": f"{before}.set"} if before else {})
    widgets, title = {"role": role, "strength": strength, **(by_hand or {})}, f"LoRA Set: {role}"
    return canvas.node(name, "KLoRASet", (300, 334), widgets, title=title, collapsed=collapsed, **wires)


def compose(
    canvas: Canvas, source: str, widgets: Mapping[str, Any], *, name: str = "fuse", title: str = ""
) -> Json:
    """Compose LoRAs by the method that `widgets` name; with a title it begins collapsed."""
    return canvas.node(
        name, "KLoRACompose", (320, FILL), widgets, title=title, collapsed=bool(title),
        model="model.MODEL", clip="model.CLIP", set=f"{source}.set",
    )  # fmt: skip


def prompt(canvas: Canvas, words: str, clip: str = "fuse.clip", height: int = 120, text: str = "") -> Json:
    """What to paint: these words, or what the output ``text`` gives; without a clip for the toy model."""
    title = "Encode the prompt" if text else "Prompt"
    return _text(canvas, "positive", words, clip, height, title, {"text": text} if text else {})


def avoid(canvas: Canvas, text: str, clip: str = "fuse.clip") -> Json:
    """What to avoid."""
    return _text(canvas, "negative", text, clip, 102, "Avoid")


def _text(
    canvas: Canvas,
    name: str,
    words: str,
    clip: str,
    height: int,
    title: str,
    wires: Mapping[str, str] | None = None,
) -> Json:
    kind, widget = ("CLIPTextEncode", "text") if clip else ("KLoRAToyWords", "words")
    wired = {**({"clip": clip} if clip else {}), **(wires or {})}
    return canvas.node(name, kind, (280, height), {widget: words}, title=title, **wired)


def nothing(canvas: Canvas) -> Json:
    """In the place of what to avoid where cfg is 1."""
    return canvas.node(
        "negative", "ConditioningZeroOut", (280, 36), title="Avoid: nothing (cfg 1)", collapsed=True,
        conditioning="positive.CONDITIONING",
    )  # fmt: skip


def empty(canvas: Canvas, kind: str, side: int) -> Json:
    """The empty latent of a square image."""
    size = {"width": side, "height": side, "batch_size": 1}
    return canvas.node("size", kind, (280, 106), size, title="Image size")


def number(canvas: Canvas, name: str, value: int, title: str) -> Json:
    """One number for several nodes."""
    return canvas.node(name, "PrimitiveInt", (280, 82), {"value": value}, title=title)


def sampler(
    canvas: Canvas,
    sampling: Sampling,
    denoise: float = 1.0,
    *,
    name: str = "sampler",
    model: str = "fuse.model",
    title: str = "",
    **wires: str,
) -> Json:
    """A KSampler; with a title it begins collapsed."""
    widgets = {"seed": SEED, "steps": sampling.steps, "cfg": sampling.cfg, "denoise": denoise}
    widgets |= {"sampler_name": sampling.sampler, "scheduler": sampling.scheduler}
    wires = {
        "model": model,
        "positive": "positive.CONDITIONING",
        "negative": "negative.CONDITIONING",
        "steps": "steps.INT",
        "latent_image": "size.LATENT",
    } | wires
    return canvas.node(name, "KSampler", (300, 262), widgets, title=title, collapsed=bool(title), **wires)


def decode(canvas: Canvas, vae: str = "model.VAE", *, name: str = "decode", latent: str = "sampler") -> Json:
    """The picture of a latent."""
    wires = {"samples": f"{latent}.LATENT", "vae": vae}
    return canvas.node(name, "VAEDecode", (300, 56), title="Decode", collapsed=True, **wires)


def saved(canvas: Canvas, prefix: str, images: str = "decode.IMAGE", title: str = "Fused image") -> Json:
    """The image, as large as there is room for it."""
    widgets = {"filename_prefix": prefix}
    return canvas.node("save", "SaveImage", (400, FILL), widgets, title=title, images=images)


def details(canvas: Canvas, steps: int, sigmas: str = "") -> list[Json]:
    """What the Fuse node shows itself, as nodes that can be kept and saved: collapsed."""
    over = {"sigmas": sigmas} if sigmas else {"steps": "steps.INT"}
    return [
        canvas.node("report", "PreviewAny", (580, 690), title="Report", collapsed=True, source="fuse.report"),
        canvas.node(
            "map", "KLoRASelectionMap", (320, 112), {"steps": steps}, title="Selection map", collapsed=True,
            plan="fuse.plan", **over,
        ),
        canvas.node(
            "shown", "PreviewImage", (640, 830), title="Map image", collapsed=True,
            images="map.image",
        ),
    ]  # fmt: skip
