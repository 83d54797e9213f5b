"""Workflows that end in one image and show one thing more: img2img, a Lightning LoRA beside, Z-Image."""

from __future__ import annotations

from . import parts
from .canvas import Canvas, Json
from .families import SD15, SDXL
from .parts import HUGGING_FACE

_LIGHTNING = (
    "loras",
    "sdxl_lightning_4step_lora.safetensors",
    f"{HUGGING_FACE}/ByteDance/SDXL-Lightning/resolve/main/sdxl_lightning_4step_lora.safetensors",
)
_Z_IMAGE = f"{HUGGING_FACE}/Comfy-Org/z_image_turbo/resolve/main/split_files"
_Z_IMAGE_FILES = (
    (
        "diffusion_models",
        "z_image_turbo_bf16.safetensors",
        f"{_Z_IMAGE}/diffusion_models/z_image_turbo_bf16.safetensors",
    ),
    ("text_encoders", "qwen_3_4b.safetensors", f"{_Z_IMAGE}/text_encoders/qwen_3_4b.safetensors"),
    ("vae", "ae.safetensors", f"{_Z_IMAGE}/vae/ae.safetensors"),
)

_IMG2IMG_NOTE = """# Your picture, your subject, your style

**Change first**

1. *Picture*: the image to start from.
2. *Load Subject + Style LoRA*: your two files, both made for SD1.5.
3. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
4. Run.

**denoise** in *KSampler* (0.6): lower keeps more of your picture, higher repaints more of it.

**progress** in *K-LoRA Fuse*, among its advanced inputs, is set to **noise level**. An img2img run begins \
partway, where the style is already strong; counted in steps it would begin with the subject again.

- subject lost? **balance** toward **-1**
- style too weak? **balance** toward **+1**
"""

_LIGHTNING_NOTE = """# Four steps, two LoRAs, one Lightning LoRA

**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for SDXL.
2. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.

**The Lightning LoRA stays untouched.** It is loaded by the ordinary LoRA loader before *K-LoRA Fuse*, does \
not compete, and works in every layer and step. Any other LoRA that should always be on (turbo, DMD2, \
detail) goes in the same place.

It sets the sampler: **4 steps, cfg 1, euler, sgm_uniform**. At cfg 1 a negative prompt has no \
effect, so there is none. For the 8-step file set *Steps* to 8.

- subject lost? **balance** toward **-1**
- style too weak? **balance** toward **+1**
"""

_Z_IMAGE_NOTE = """# Your subject in your style, on Z-Image-Turbo

**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for Z-Image.
2. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.

**Then one dial: balance** in *K-LoRA Fuse*

- subject lost? toward **-1**
- style too weak? toward **+1**

Files with q, k, v apart and files with one qkv matrix pair up. Turbo wants **8 steps and cfg 1**; at cfg 1 \
a negative prompt has no effect, so there is none.
"""


def img2img() -> Json:
    """SD1.5 from a picture: denoise 0.6, progress read off the noise."""
    canvas = Canvas()
    start = parts.note(canvas, _IMG2IMG_NOTE, SD15.files, 500)
    checkpoint = parts.loader(
        canvas, "model", "CheckpointLoaderSimple", 128, SD15.files[0], title="Checkpoint"
    )
    models = [checkpoint, parts.pair(canvas, "sd15")]
    fuse = parts.fuse(canvas, progress="noise level")
    picture = canvas.node("picture", "LoadImage", (380, 400), "example.png", "image", title="Picture")
    scaled = canvas.node(
        "scaled", "ImageScaleToTotalPixels", (380, 130), "lanczos", 0.25, 8, image="picture.IMAGE",
        title="Scale to SD1.5's size",
    )  # fmt: skip
    encoded = canvas.node("size", "VAEEncode", (380, 56), pixels="scaled.IMAGE", vae="model.VAE")
    words = [parts.prompt(canvas, SD15.prompt), parts.avoid(canvas, SD15.negative)]
    words.append(parts.number(canvas, "steps", SD15.steps, "Steps"))
    settings = (SD15.steps, SD15.cfg, SD15.sampler, SD15.scheduler)
    image = [parts.sampler(canvas, settings, 0.6), parts.decode(canvas)]
    prompts = [[picture, scaled, encoded], words]
    parts.one_image(canvas, SD15.steps, start, models, fuse, prompts, image, "k-lora-img2img")
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d1621")


def lightning() -> Json:
    """SDXL in four steps: a Lightning LoRA by the core loader, then K-LoRA."""
    canvas = Canvas()
    start = parts.note(canvas, _LIGHTNING_NOTE, (*SDXL.files, _LIGHTNING), 520)
    checkpoint = parts.loader(
        canvas, "model", "CheckpointLoaderSimple", 128, SDXL.files[0], title="Checkpoint"
    )
    fast = parts.loader(
        canvas, "fast", "LoraLoaderModelOnly", 106, _LIGHTNING, 1.0,
        title="Lightning LoRA (always on)", model="model.MODEL",
    )  # fmt: skip
    models = [checkpoint, fast, parts.pair(canvas, "sdxl")]
    fuse = parts.fuse(canvas, model="fast.MODEL")
    words = [parts.prompt(canvas, SDXL.prompt), parts.nothing(canvas)]
    words.append(
        canvas.node("size", "EmptyLatentImage", (420, 118), SDXL.size, SDXL.size, 1, title="Image size")
    )
    words.append(parts.number(canvas, "steps", 4, "Steps"))
    image = [parts.sampler(canvas, (4, 1.0, "euler", "sgm_uniform")), parts.decode(canvas)]
    parts.one_image(canvas, 4, start, models, fuse, [words], image, "k-lora-lightning")
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d4517")


def z_image() -> Json:
    """Z-Image-Turbo, with the settings of ComfyUI's own template."""
    canvas = Canvas()
    start = parts.note(canvas, _Z_IMAGE_NOTE, _Z_IMAGE_FILES, 480)
    unet, text, vae = _Z_IMAGE_FILES
    models = [
        parts.loader(canvas, "model", "UNETLoader", 90, unet, "default"),
        parts.loader(canvas, "clip", "CLIPLoader", 116, text, "lumina2", "default"),
        parts.loader(canvas, "vae", "VAELoader", 90, vae),
        parts.pair(canvas, "zimage"),
    ]
    fuse = parts.fuse(canvas, clip="clip.CLIP")
    words = [parts.prompt(canvas, SDXL.prompt), parts.nothing(canvas)]
    words.append(canvas.node("size", "EmptySD3LatentImage", (420, 118), 1024, 1024, 1, title="Image size"))
    words.append(parts.number(canvas, "steps", 8, "Steps"))
    shift = canvas.node("shift", "ModelSamplingAuraFlow", (340, 60), 3.0, model="fuse.model")
    settings = (8, 1.0, "res_multistep", "simple")
    image = [shift, parts.sampler(canvas, settings, model="shift.MODEL"), parts.decode(canvas, "vae.VAE")]
    parts.one_image(canvas, 8, start, models, fuse, [words], image, "k-lora-z-image")
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d21a6")
