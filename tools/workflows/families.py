"""What the shipped workflows hold: one graph, and what differs between SD1.5, SDXL and FLUX."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import Canvas, Json

_BLUE, _GREEN, _PURPLE, _GOLD, _GREY = "#3f789e", "#4c8a5b", "#8a63a8", "#b58b2a", "#666"
FUSE_WITH_MAP = 720
"""Height of K-LoRA Fuse once its live map has appeared."""
_HF = "https://huggingface.co"


@dataclass(frozen=True)
class Family:
    """One base model's settings."""

    title: str
    id: str
    files: tuple[tuple[str, str, str], ...]
    """(models subfolder, file name, where to get it)."""
    size: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    schedule: tuple[str, float, float]
    latent: str = "EmptyLatentImage"
    prompt: str = "photo of sks dog sitting on a hill at sunset, in the style of xyz"
    negative: str = "blurry, low quality, watermark, text"
    note: str = ""


SD15 = Family(
    title="SD1.5",
    id="0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d1501",
    files=(
        (
            "checkpoints",
            "v1-5-pruned-emaonly-fp16.safetensors",
            f"{_HF}/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/v1-5-pruned-emaonly-fp16.safetensors",
        ),
    ),
    size=512,
    steps=30,
    cfg=7.0,
    sampler="dpmpp_2m",
    scheduler="karras",
    schedule=("s", 1.5, 0.5),
)

SDXL = Family(
    title="SDXL",
    id="0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7811",
    files=(
        (
            "checkpoints",
            "sd_xl_base_1.0.safetensors",
            f"{_HF}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors",
        ),
    ),
    size=1024,
    steps=30,
    cfg=6.0,
    sampler="dpmpp_2m",
    scheduler="karras",
    schedule=("s", 1.5, 0.5),
)

FLUX = Family(
    title="FLUX.1",
    id="0b0c5f0a-4f0e-4c58-9d53-6a4a2f3df1c5",
    files=(
        (
            "diffusion_models",
            "flux1-dev.safetensors",
            f"{_HF}/Comfy-Org/flux1-dev/resolve/main/flux1-dev.safetensors",
        ),
        (
            "text_encoders",
            "clip_l.safetensors",
            f"{_HF}/comfyanonymous/flux_text_encoders/resolve/main/clip_l.safetensors",
        ),
        (
            "text_encoders",
            "t5xxl_fp16.safetensors",
            f"{_HF}/comfyanonymous/flux_text_encoders/resolve/main/t5xxl_fp16.safetensors",
        ),
        (
            "vae",
            "ae.safetensors",
            f"{_HF}/Comfy-Org/Lumina_Image_2.0_Repackaged/resolve/main/split_files/vae/ae.safetensors",
        ),
    ),
    size=1024,
    steps=28,
    cfg=1.0,
    sampler="euler",
    scheduler="simple",
    schedule=("s*", 1.5, 1.3),
    latent="EmptySD3LatentImage",
    note=" FLUX starts with schedule **s\\***, as the paper's authors recommend.",
)

FAMILIES = {"k-lora-sd15": SD15, "k-lora-sdxl": SDXL, "k-lora-flux": FLUX}


def _note(family: Family) -> str:
    models = "\n".join(f"- `models/{folder}/` [{name}]({url})" for folder, name, url in family.files)
    return f"""# Your subject in your style

**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for {family.title}.
2. *Prompt*: put in the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.

**Then one dial: balance** in *K-LoRA Fuse*

- subject lost? toward **-1**
- style too weak? toward **+1**

Leave both strengths at 1: they do not decide who wins a layer.{family.note}

**Steps** feeds the sampler and the selection map alike.

**Models**

{models}
"""


def _models(family: Family, *names: str) -> Json:
    """The download hints that the editor offers for missing files."""
    return {"models": [{"name": n, "url": url, "directory": d} for d, n, url in family.files if n in names]}


def _loaders(canvas: Canvas, family: Family) -> list[Json]:
    names = [name for _, name, _ in family.files]
    if family is not FLUX:
        node = canvas.node("model", "CheckpointLoaderSimple", (380, 128), names[0], title="Checkpoint")
        node["properties"] |= _models(family, names[0])
        return [node]
    unet = canvas.node("model", "UNETLoader", (380, 90), names[0], "default")
    clip = canvas.node("clip", "DualCLIPLoader", (380, 144), names[1], names[2], "flux", "default")
    vae = canvas.node("vae", "VAELoader", (380, 90), names[3])
    for node, files in ((unet, names[:1]), (clip, names[1:3]), (vae, names[3:])):
        node["properties"] |= _models(family, *files)
    return [unet, clip, vae]


def _prompts(canvas: Canvas, family: Family) -> list[Json]:
    positive = canvas.node(
        "positive", "CLIPTextEncode", (420, 150), family.prompt, title="Prompt", clip="fuse.clip"
    )
    if family is not FLUX:
        negative = canvas.node(
            "negative", "CLIPTextEncode", (420, 110), family.negative, title="Avoid", clip="fuse.clip"
        )
        return [positive, negative]
    guided = canvas.node("guided", "FluxGuidance", (420, 64), 3.5, conditioning="positive.CONDITIONING")
    nothing = canvas.node("negative", "ConditioningZeroOut", (420, 36), conditioning="positive.CONDITIONING")
    return [positive, guided, nothing]


def build(family: Family) -> Json:
    """Lay one family's workflow out: note, models, fuse, prompt, image; below, what K-LoRA chose."""
    canvas = Canvas()
    note = canvas.node("note", "MarkdownNote", (400, 480), _note(family), title="Read me")
    loaders = _loaders(canvas, family)
    clip, vae = ("clip.CLIP", "vae.VAE") if family is FLUX else ("model.CLIP", "model.VAE")
    pair = canvas.node(
        "pair",
        "KLoRALoadPair",
        (380, 160),
        f"subject-{_slug(family)}.safetensors",
        f"style-{_slug(family)}.safetensors",
    )
    fuse = canvas.node(
        "fuse", "KLoRAFuse", (380, FUSE_WITH_MAP),
        1.0, 1.0, 0.0, *family.schedule, "paper", "shared", "keep", "steps",
        model="model.MODEL", subject="pair.subject", style="pair.style", clip=clip,
    )  # fmt: skip
    prompts = _prompts(canvas, family)
    latent = canvas.node("size", family.latent, (420, 118), family.size, family.size, 1, title="Image size")
    steps = canvas.node("steps", "PrimitiveInt", (420, 82), family.steps, "fixed", title="Steps")
    sampler = canvas.node(
        "sampler", "KSampler", (340, 262), 20250218, "fixed",
        family.steps, family.cfg, family.sampler, family.scheduler, 1.0,
        model="fuse.model", positive="guided.CONDITIONING" if family is FLUX else "positive.CONDITIONING",
        negative="negative.CONDITIONING", latent_image="size.LATENT", steps="steps.INT",
    )  # fmt: skip
    decode = canvas.node("decode", "VAEDecode", (340, 56), samples="sampler.LATENT", vae=vae)
    save = canvas.node("save", "SaveImage", (560, 640), "k-lora", title="Fused image", images="decode.IMAGE")
    report = canvas.node("report", "PreviewAny", (580, 690), title="Report", source="fuse.report")
    map_ = canvas.node(
        "map", "KLoRASelectionMap", (580, 92), family.steps, plan="fuse.plan", steps="steps.INT"
    )
    shown = canvas.node("shown", "PreviewImage", (640, 830), title="Selection map", images="map.image")

    x, _ = canvas.group("Start here", _GREY, (0, 0), [note])
    x, _ = canvas.group("1 · Model and LoRAs", _BLUE, (x, 0), [*loaders, pair])
    x_right, _ = canvas.group("2 · Fuse", _GREEN, (x, 0), [fuse])
    x, below_prompt = canvas.group("3 · Prompt", _PURPLE, (x_right, 0), [*prompts, latent, steps])
    x, _ = canvas.group("4 · Image", _GOLD, (x, 0), [sampler, decode])
    _, below_result = canvas.group("Result", _GOLD, (x, 0), [save])
    row = max(below_prompt, below_result)
    canvas.group("What K-LoRA chose", _GREEN, (x_right, row), [map_, report], [shown])
    return canvas.saved(family.id)


def _slug(family: Family) -> str:
    return family.title.lower().replace(".1", "").replace(".", "")
