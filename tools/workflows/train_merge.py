"""The workflow that learns a merge: two LoRAs, pictures of them together, the learning, a first image."""

from __future__ import annotations

from . import parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import FILL, Box, lay_out
from .families import SD15

_NOTE = """# Train a merge

**Change first**

1. The two *LoRA* loaders: your files, both made for SD1.5.
2. *Liked*: pictures of the subject in the style. Two here, four are better: a *Batch Images* more.
3. *prompt* of the training, and *Prompt*: the trigger words of **both** LoRAs.
4. Run. The LoRA is saved in the output folder.

**Where from?** A plain sum of the two, or template 10: keep what you like.

**Then**

- all images alike? more pictures, fewer **steps**
- no change? a larger **rate**
"""


def build(host: HostNodes) -> Json:
    """Files, the pictures, the learning, what was learned, and one image by the model that has it."""
    canvas = Canvas(host)
    start = [parts.note(canvas, _NOTE), parts.closed(parts.loader(canvas, SD15.loaders[0]))]
    start += [
        parts.lora(canvas, "subject", "subject", "Subject LoRA"),
        parts.lora(canvas, "style", "style", "Style LoRA"),
        parts.member(canvas, "set1", "subject.lora", "subject", strength=0.7, collapsed=True),
        parts.member(canvas, "set2", "style.lora", "style", "set1", strength=0.7, collapsed=True),
    ]
    given = [
        canvas.node("liked1", "LoadImage", (280, 300), {"image": "example.png"}, title="Liked 1"),
        canvas.node("liked2", "LoadImage", (280, 300), {"image": "example.png"}, title="Liked 2"),
        canvas.node(
            "both", "ImageBatch", (280, 56), title="Batch Images", collapsed=True,
            image1="liked1.IMAGE", image2="liked2.IMAGE",
        ),
        canvas.node(
            "scaled", "ImageScaleToTotalPixels", (280, 130),
            {"upscale_method": "lanczos", "megapixels": 0.25, "resolution_steps": 8},
            title="Scale to 0.25 megapixels", collapsed=True, image="both.IMAGE",
        ),
    ]  # fmt: skip
    train = canvas.node(
        "train", "KLoRATrainMerge", (330, 420),
        {"method": "taught", "prompt": SD15.prompt},
        model="model.MODEL", clip="model.CLIP", set="set2.set", images="scaled.IMAGE", vae="model.VAE",
    )  # fmt: skip
    kept = [
        canvas.node(
            "lora", "SaveLoRA", (330, 100), {"prefix": "loras/k-lora-merge", "steps": 200},
            title="Save the LoRA", collapsed=True, lora="train.lora",
        ),
        canvas.node("loss", "LossGraphNode", (330, FILL), title="Loss", loss="train.loss"),
        canvas.node(
            "report", "PreviewAny", (330, 200), title="Report", collapsed=True, source="train.report"
        ),
    ]  # fmt: skip
    steps = SD15.sampling.steps
    image = [
        parts.prompt(canvas, SD15.prompt, "model.CLIP", height=90),
        parts.closed(parts.avoid(canvas, SD15.negative, "model.CLIP")),
        parts.number(canvas, "steps", steps, "Steps"),
        parts.closed(parts.empty(canvas, SD15.latent, SD15.size)),
        parts.sampler(canvas, SD15.sampling, model="train.model", title="KSampler"),
        parts.decode(canvas),
        parts.saved(canvas, "k-lora-merge", title="Image"),
    ]
    start.append(parts.model_files(canvas, SD15.files[:1]))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [[Box("2 · Pictures that you like", parts.PURPLE, 280, given)]],
        [
            [Box("3 · Train", parts.GREEN, 330, [train])],
            [Box("What was learned", parts.GREY, 330, kept)],
        ],
        [[Box("4 · Prompt and image", parts.GOLD, 340, image)]],
    )
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7a11")
