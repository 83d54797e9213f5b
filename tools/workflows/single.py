"""Workflows that end in one image: every base model by one builder, with what they show beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import notes, parts
from .canvas import Canvas, Json
from .families import FLUX, HUGGING_FACE, SD15, SDXL, Z_IMAGE, Family, File, Sampling
from .host_nodes import HostNodes

_LIGHTNING = File(
    "loras",
    "sdxl_lightning_4step_lora.safetensors",
    f"{HUGGING_FACE}/ByteDance/SDXL-Lightning/resolve/main/sdxl_lightning_4step_lora.safetensors",
)


@dataclass(frozen=True)
class OneImage:
    """One workflow: a family, and how it differs from plain text to image."""

    id: str
    family: Family
    note: str
    note_height: int = 480
    prefix: str = "k-lora"
    sampling: Sampling | None = None
    always_on: File | None = None
    """A LoRA that the core loader adds before K-LoRA."""
    denoise: float = 1.0
    """Below 1 the image starts from a picture."""


WORKFLOWS = {
    "k-lora-sd15": OneImage("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d1501", SD15, notes.one_image(SD15)),
    "k-lora-sdxl": OneImage("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7811", SDXL, notes.one_image(SDXL)),
    "k-lora-flux": OneImage("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3df1c5", FLUX, notes.one_image(FLUX, notes.FLUX)),
    "k-lora-lightning": OneImage(
        "0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d4517",
        SDXL,
        notes.LIGHTNING,
        520,
        "k-lora-lightning",
        Sampling(4, 1.0, "euler", "sgm_uniform"),
        _LIGHTNING,
    ),
    "k-lora-z-image": OneImage(
        "0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d21a6", Z_IMAGE, notes.Z_IMAGE, prefix="k-lora-z-image"
    ),
    "k-lora-img2img": OneImage(
        "0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d1621", SD15, notes.IMG2IMG, 500, "k-lora-img2img", denoise=0.6
    ),
}


def build(workflow: OneImage, host: HostNodes) -> Json:
    """Lay it out: note, models, fuse, prompt, image; below, what K-LoRA chose."""
    canvas, family = Canvas(host), workflow.family
    sampling = workflow.sampling or family.sampling
    extra = [workflow.always_on] if workflow.always_on else []
    start = parts.note(canvas, workflow.note, [*family.files, *extra], workflow.note_height)
    models = [parts.loader(canvas, loader) for loader in family.loaders]
    models += [_always_on(canvas, file) for file in extra]
    models.append(parts.pair(canvas, family.slug))
    model = "fast.MODEL" if extra else "model.MODEL"
    fuse = parts.fuse(canvas, model=model, clip=family.clip, widgets=family.schedule)
    pictures = _picture(canvas) if workflow.denoise < 1 else []
    words = _words(canvas, family, sampling)
    if not pictures:
        words.append(parts.empty(canvas, family.latent, family.size))
    words.append(parts.number(canvas, "steps", sampling.steps, "Steps"))
    prompts = [pictures, words] if pictures else [words]
    image = _image(canvas, family, sampling, workflow.denoise)
    _lay_out(canvas, sampling.steps, start, models, fuse, prompts, image, workflow.prefix)
    return canvas.saved(workflow.id)


def _always_on(canvas: Canvas, file: File) -> Json:
    node = canvas.node(
        "fast", "LoraLoaderModelOnly", (380, 106), {"lora_name": file.name},
        title="Lightning LoRA (always on)", model="model.MODEL",
    )  # fmt: skip
    return parts.offered(node, [file])


def _picture(canvas: Canvas) -> list[Json]:
    """The picture to start from, as a latent of SD1.5's size."""
    size = {"upscale_method": "lanczos", "megapixels": 0.25, "resolution_steps": 8}
    return [
        canvas.node("picture", "LoadImage", (380, 400), {"image": "example.png"}, title="Picture"),
        canvas.node(
            "scaled", "ImageScaleToTotalPixels", (380, 130), size,
            title="Scale to SD1.5's size", image="picture.IMAGE",
        ),
        canvas.node("size", "VAEEncode", (380, 56), pixels="scaled.IMAGE", vae="model.VAE"),
    ]  # fmt: skip


def _words(canvas: Canvas, family: Family, sampling: Sampling) -> list[Json]:
    """Prompt, guidance where the model takes one, and what to avoid."""
    words = [parts.prompt(canvas, family.prompt)]
    if family.guidance is not None:
        words.append(
            canvas.node(
                "guided", "FluxGuidance", (420, 64), {"guidance": family.guidance},
                conditioning="positive.CONDITIONING",
            )
        )  # fmt: skip
    if sampling.cfg == 1:
        words.append(parts.nothing(canvas))
    else:
        words.append(parts.avoid(canvas, family.negative))
    return words


def _image(canvas: Canvas, family: Family, sampling: Sampling, denoise: float) -> list[Json]:
    """Sampler and decoder, and the shift where the model's template sets one."""
    model, nodes = "fuse.model", []
    if family.shift is not None:
        nodes.append(
            canvas.node("shift", "ModelSamplingAuraFlow", (340, 60), {"shift": family.shift}, model=model)
        )
        model = "shift.MODEL"
    positive = "positive.CONDITIONING" if family.guidance is None else "guided.CONDITIONING"
    nodes.append(parts.sampler(canvas, sampling, denoise, model=model, positive=positive))
    return [*nodes, parts.decode(canvas, family.vae)]


def _lay_out(
    canvas: Canvas,
    steps: int,
    start: Json,
    models: list[Json],
    fuse: Json,
    prompts: Iterable[list[Json]],
    image: list[Json],
    prefix: str,
) -> None:
    """Groups from left to right, with the report and the selection map below."""
    prompts = list(prompts)
    save = canvas.node(
        "save", "SaveImage", (560, 640), {"filename_prefix": prefix},
        title="Fused image", images="decode.IMAGE",
    )  # fmt: skip
    report = canvas.node("report", "PreviewAny", (580, 690), title="Report", source="fuse.report")
    map_ = canvas.node(
        "map", "KLoRASelectionMap", (580, 112), {"steps": steps}, plan="fuse.plan", steps="steps.INT"
    )
    shown = canvas.node("shown", "PreviewImage", (640, 830), title="Selection map", images="map.image")
    x, _ = canvas.group("Start here", parts.GREY, (0, 0), [start])
    x, _ = canvas.group("1 · Model and LoRAs", parts.BLUE, (x, 0), models)
    x_right, _ = canvas.group("2 · Fuse", parts.GREEN, (x, 0), [fuse])
    title = "3 · Prompt" if len(prompts) == 1 else "3 · Picture and prompt"
    x, below_prompt = canvas.group(title, parts.PURPLE, (x_right, 0), *prompts)
    x, below_image = canvas.group("4 · Image", parts.GOLD, (x, 0), image)
    _, below_result = canvas.group("Result", parts.GOLD, (x, 0), [save])
    row = max(below_prompt, below_image, below_result)
    canvas.group("What K-LoRA chose", parts.GREEN, (x_right, row), [map_, report], [shown])
