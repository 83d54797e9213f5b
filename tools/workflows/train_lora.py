"""The workflow that trains a LoRA: a picture and its prompt, the training, a first picture of the result."""

from __future__ import annotations

from . import parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import FILL, Box, lay_out
from .families import SD15

_NOTE = """# Train a LoRA for fusion

**Change first**

1. *Picture*: yours. For several, put *Batch Images* before *Encode*.
2. *What it shows*: a word of its own (`sks`), then what it is.
3. *Prompt*: the same word, something else.
4. Run. The LoRA is saved in the output folder.

**Then**

- **method**: *CoTo* for a LoRA that fuses well, *UnZipLoRA* for two of one picture
- *Loss* falls and the image shows nothing? more **steps**
- every image is the picture? fewer

Templates 01 and 13 fuse it.
"""


def build(host: HostNodes) -> Json:
    """Files, the training, what was learned, and one image by the model that has it."""
    canvas = Canvas(host)
    start = [parts.note(canvas, _NOTE), parts.closed(parts.loader(canvas, SD15.loaders[0]))]
    given = [
        canvas.node("picture", "LoadImage", (280, 328), {"image": "example.png"}, title="Picture"),
        canvas.node(
            "scaled", "ImageScaleToTotalPixels", (280, 130),
            {"upscale_method": "lanczos", "megapixels": 0.25, "resolution_steps": 8},
            title="Scale to 0.25 megapixels", collapsed=True, image="picture.IMAGE",
        ),
        canvas.node(
            "encode", "VAEEncode", (280, 56), title="Encode", collapsed=True, pixels="scaled.IMAGE",
            vae="model.VAE",
        ),
        canvas.node(
            "caption", "CLIPTextEncode", (280, 102), {"text": "sks, a picture of a scene"},
            title="What it shows", clip="model.CLIP",
        ),
    ]  # fmt: skip
    train = canvas.node(
        "train", "KLoRATrainLora", (330, 420), {"method": "CoTo"},
        model="model.MODEL", latents="encode.LATENT", positive="caption.CONDITIONING",
    )  # fmt: skip
    kept = [
        canvas.node(
            "lora", "SaveLoRA", (330, 100), {"prefix": "loras/k-lora-trained", "steps": 500},
            title="Save the LoRA", collapsed=True, lora="train.lora",
        ),
        canvas.node("loss", "LossGraphNode", (330, FILL), title="Loss", loss="train.loss"),
        canvas.node(
            "report", "PreviewAny", (330, 200), title="Report", collapsed=True, source="train.report"
        ),
    ]  # fmt: skip
    steps = SD15.sampling.steps
    image = [
        parts.prompt(canvas, "sks in a snowy forest", "model.CLIP", height=90),
        parts.closed(parts.avoid(canvas, SD15.negative, "model.CLIP")),
        parts.number(canvas, "steps", steps, "Steps"),
        parts.closed(parts.empty(canvas, SD15.latent, SD15.size)),
        parts.sampler(canvas, SD15.sampling, model="train.model", title="KSampler"),
        parts.decode(canvas),
        parts.saved(canvas, "k-lora-trained", title="Image"),
    ]
    start.append(parts.model_files(canvas, SD15.files[:1]))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [[Box("2 · Your picture", parts.PURPLE, 280, given)]],
        [
            [Box("3 · Train", parts.GREEN, 330, [train])],
            [Box("What was learned", parts.GREY, 330, kept)],
        ],
        [[Box("4 · Prompt and image", parts.GOLD, 340, image)]],
    )
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7a10")
