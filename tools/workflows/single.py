"""Workflows that end in one image: every base model by one builder, with what they show beside it."""

from __future__ import annotations

from dataclasses import dataclass

from . import notes, parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import Box, lay_out
from .families import FLUX, HUGGING_FACE, OPEN_RAIL_PP, SD15, SDXL, TOY, Z_IMAGE, Family, File, Sampling

_LIGHTNING = File(
    "loras",
    "sdxl_lightning_4step_lora.safetensors",
    f"{HUGGING_FACE}/ByteDance/SDXL-Lightning/resolve/main/sdxl_lightning_4step_lora.safetensors",
    OPEN_RAIL_PP,
)


@dataclass(frozen=True)
class OneImage:
    """One workflow: a family, and how it differs from plain text to image."""

    id: str
    family: Family
    note: str
    prefix: str = "k-lora"
    sampling: Sampling | None = None
    always_on: File | None = None
    """A LoRA that the core loader adds before K-LoRA."""
    denoise: float = 1.0
    """Below 1 the image starts from a picture."""


WORKFLOWS = {
    "k-lora-try": OneImage("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7001", TOY, notes.TRY_IT_NOW, "k-lora-try"),
    "k-lora-sd15": OneImage("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d1501", SD15, notes.one_image(SD15)),
    "k-lora-sdxl": OneImage("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7811", SDXL, notes.one_image(SDXL)),
    "k-lora-flux": OneImage("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3df1c5", FLUX, notes.one_image(FLUX, notes.FLUX)),
    "k-lora-lightning": OneImage(
        "0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d4517",
        SDXL,
        notes.lightning(SDXL),
        "k-lora-lightning",
        Sampling(4, 1.0, "euler", "sgm_uniform"),
        _LIGHTNING,
    ),
    "k-lora-z-image": OneImage(
        "0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d21a6", Z_IMAGE, notes.z_image(Z_IMAGE), "k-lora-z-image"
    ),
    "k-lora-img2img": OneImage(
        "0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d1621", SD15, notes.img2img(SD15), "k-lora-img2img", denoise=0.6
    ),
}


def build(workflow: OneImage, host: HostNodes) -> Json:
    """Lay it out: note and models, fuse, prompt, image; collapsed, what K-LoRA chose."""
    canvas, family = Canvas(host), workflow.family
    sampling = workflow.sampling or family.sampling
    extra = [workflow.always_on] if workflow.always_on else []
    start = [parts.note(canvas, workflow.note)]
    start += [parts.loader(canvas, loader) for loader in family.loaders]
    start += [_always_on(canvas, file) for file in extra]
    start.append(parts.pair(canvas, family))
    model = "fast.MODEL" if extra else "model.MODEL"
    fuse = parts.fuse(canvas, model=model, clip=family.clip, widgets=family.schedule)
    words = _picture(canvas) if workflow.denoise < 1 else []
    title = "3 · Picture and prompt" if words else "3 · Prompt"
    words += _words(canvas, family, sampling, 102 if words else 120)
    if workflow.denoise < 1:
        parts.closed(words[-1])
    else:
        words.append(parts.empty(canvas, family.latent, family.size))
    steps = parts.number(canvas, "steps", sampling.steps, "Steps")
    image = [steps, *_image(canvas, family, sampling, workflow.denoise)]
    if family.shown:
        image.append(_enlarged(canvas, family))
    image.append(parts.saved(canvas, workflow.prefix, "larger.IMAGE" if family.shown else "decode.IMAGE"))
    details = parts.details(canvas, sampling.steps)
    start.append(parts.model_files(canvas, [*family.files, *extra]))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [[Box("2 · Fuse", parts.GREEN, 320, [fuse])]],
        [
            [Box(title, parts.PURPLE, 280, words)],
            [Box("Details", parts.GREY, 280, details)],
        ],
        [[Box("4 · Image", parts.GOLD, 360, image)]],
    )
    canvas.app([*_PICTURE[: workflow.denoise < 1], *_APP], ["save"])
    return canvas.saved(workflow.id)


_PICTURE = [("picture", "image")]
_APP = [
    ("pair", "subject_lora"),
    ("pair", "style_lora"),
    ("positive", "text"),
    ("fuse", "balance"),
    ("sampler", "seed"),
    ("fuse", "klora_map"),
]
"""What app mode asks for, and the live map below it; what it shows is the image."""


def _always_on(canvas: Canvas, file: File) -> Json:
    node = canvas.node(
        "fast", "LoraLoaderModelOnly", (300, 82), {"lora_name": file.name},
        title="Lightning LoRA (always on)", collapsed=True, model="model.MODEL",
    )  # fmt: skip
    return parts.offered(node, [file])


def _picture(canvas: Canvas) -> list[Json]:
    """The picture to start from, as a latent of SD1.5's size."""
    size = {"upscale_method": "lanczos", "megapixels": 0.25, "resolution_steps": 8}
    return [
        canvas.node("picture", "LoadImage", (280, 328), {"image": "example.png"}, title="Picture"),
        canvas.node(
            "scaled", "ImageScaleToTotalPixels", (280, 130), size,
            title="Scale to 0.25 megapixels", collapsed=True, image="picture.IMAGE",
        ),
        canvas.node(
            "size", "VAEEncode", (280, 56), title="Encode", collapsed=True, pixels="scaled.IMAGE",
            vae="model.VAE",
        ),
    ]  # fmt: skip


def _enlarged(canvas: Canvas, family: Family) -> Json:
    """Of a small image a large one, to be looked at."""
    size = {"upscale_method": "lanczos", "width": family.shown, "height": family.shown}
    title = f"Scale to {family.shown} pixels"
    return canvas.node(
        "larger", "ImageScale", (300, 130), size, title=title, collapsed=True, image="decode.IMAGE"
    )


def _words(canvas: Canvas, family: Family, sampling: Sampling, height: int) -> list[Json]:
    """Prompt, guidance where the model takes one, and what to avoid."""
    clip = "fuse.clip" if family.clip else ""
    words = [parts.prompt(canvas, family.prompt, clip, height)]
    if family.guidance is not None:
        words.append(
            canvas.node(
                "guided", "FluxGuidance", (280, 58), {"guidance": family.guidance},
                conditioning="positive.CONDITIONING",
            )
        )  # fmt: skip
    if sampling.cfg == 1:
        words.append(parts.nothing(canvas))
    else:
        words.append(parts.avoid(canvas, family.negative, clip))
    return words


def _image(canvas: Canvas, family: Family, sampling: Sampling, denoise: float) -> list[Json]:
    """Sampler and decoder, and the shift where the model's template sets one."""
    model, nodes = "fuse.model", []
    if family.shift is not None:
        title = f"Shift {family.shift:g}"
        nodes.append(
            canvas.node(
                "shift", "ModelSamplingAuraFlow", (300, 60), {"shift": family.shift},
                title=title, collapsed=True, model=model,
            )
        )  # fmt: skip
        model = "shift.MODEL"
    positive = "positive.CONDITIONING" if family.guidance is None else "guided.CONDITIONING"
    nodes.append(parts.sampler(canvas, sampling, denoise, model=model, positive=positive))
    return [*nodes, parts.decode(canvas, family.vae)]
