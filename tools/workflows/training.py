"""Workflows that train, and paint a first picture by the result: a LoRA of pictures, or one of two LoRAs, by
given pictures or by those that are picked."""

from __future__ import annotations

from klora_core.loras import STYLE, SUBJECT
from klora_core.train.picks import usual

from . import notes, parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import FILL, Box, lay_out
from .families import SD15, SDXL, TOY_WITH_CLIP, Family

_LORA = """# Train a LoRA for fusion

**Change first**

1. *Picture*: yours. For several, put *Batch Images* before *Scale*.
2. *What it shows*: a word of its own (`sks`), then what it is.
3. *Prompt*: the same word, something else.
4. Run. The LoRA is saved in the output folder.

**Then**

- **method**: *CoTo* for a LoRA that fuses well, *UnZipLoRA* for two of one picture
- *Loss* falls and the image shows nothing? more **steps**
- every image is the picture? fewer

Templates 01 and 13 fuse it.
"""


_MERGE = """# Train a merge

**Change first**

1. The two *LoRA* loaders: your files, both made for SD1.5.
2. *Liked*: pictures of the subject in the style. Two here, four are better: wire them to *Batch Images* too.
3. *prompt* of the training, and *Prompt*: the trigger words of **both** LoRAs.
4. Run. The LoRA is saved in the output folder.

**Where from?** A plain sum of the two, or template 10: keep what you like.

**Then**

- all images alike? more pictures, fewer **steps**
- no change? a larger **rate**
"""


_PICK = """# Pick and learn

**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for SDXL.
2. *prompt* of *Pick and Learn*, and *Prompt*: the trigger words of **both** LoRAs.
3. Run: a sheet of pictures by many rules.

**Then, on the node**

1. Pick only pictures that you would keep: one is enough, four vary more.
2. *learn and show more*: what was learned beside the best rule.
3. *take it*: the LoRA is saved in the output folder.

**Too slow?** Fewer **pictures**, fewer **rules**.
"""


def lora(host: HostNodes) -> Json:
    """Files, the training, what was learned, and one image by the model that has it."""
    canvas = Canvas(host)
    start = [parts.note(canvas, _LORA), parts.closed(parts.loader(canvas, SD15.loaders[0]))]
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
        "train", "KLoRATrainLora", (330, FILL), {"method": "CoTo"},
        model="model.MODEL", latents="encode.LATENT", positive="caption.CONDITIONING",
    )  # fmt: skip
    kept, image = (
        _learned(canvas, "k-lora-trained", 500),
        _image(canvas, "sks in a snowy forest", "k-lora-trained"),
    )
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


def merge(host: HostNodes) -> Json:
    """Files, the pictures, the learning, what was learned, and one image by the model that has it."""
    canvas = Canvas(host)
    start = [parts.note(canvas, _MERGE), parts.closed(parts.loader(canvas, SD15.loaders[0]))]
    start += [
        parts.lora(canvas, "subject", "subject", "Subject LoRA"),
        parts.lora(canvas, "style", "style", "Style LoRA"),
        parts.member(canvas, "set1", "subject.lora", "subject", strength=0.7, collapsed=True),
        parts.member(canvas, "set2", "style.lora", "style", "set1", strength=0.7, collapsed=True),
    ]
    given = [
        canvas.node("liked1", "LoadImage", (280, 328), {"image": "example.png"}, title="Liked 1"),
        canvas.node("liked2", "LoadImage", (280, 328), {"image": "example.png"}, title="Liked 2"),
        canvas.node(
            "both", "BatchImagesNode", (280, 76), title="Batch Images", collapsed=True,
            **{"images.image0": "liked1.IMAGE", "images.image1": "liked2.IMAGE"},
        ),
        canvas.node(
            "scaled", "ImageScaleToTotalPixels", (280, 130),
            {"upscale_method": "lanczos", "megapixels": 0.25, "resolution_steps": 8},
            title="Scale to 0.25 megapixels", collapsed=True, image="both.IMAGE",
        ),
    ]  # fmt: skip
    train = canvas.node(
        "train", "KLoRATrainMerge", (330, FILL),
        {"method": "taught", "prompt": SD15.prompt},
        model="model.MODEL", clip="model.CLIP", set="set2.set", images="scaled.IMAGE", vae="model.VAE",
    )  # fmt: skip
    kept, image = _learned(canvas, "k-lora-merge", 200), _image(canvas, SD15.prompt, "k-lora-merge")
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


def pick(host: HostNodes) -> Json:
    """On SDXL."""
    return _picking(host, SDXL, _PICK, "k-lora-picked").saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7a12")


def try_picking(host: HostNodes) -> Json:
    """On the toy model."""
    made = _picking(host, TOY_WITH_CLIP, notes.TRY_PICKING, "k-lora-try-picked", chosen=True)
    return made.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7a14")


_USUAL = ", ".join(rule.name for rule in usual((SUBJECT, STYLE)))


def _picking(host: HostNodes, family: Family, note: str, prefix: str, chosen: bool = False) -> Canvas:
    """Files, the sheet, the LoRA that was taken, and one image by the model that has it.

    ``chosen``: nobody need choose LoRAs, the note has their room, and the rules are named.
    """
    canvas = Canvas(host)
    start = [parts.note(canvas, note)]
    start += [parts.closed(parts.loader(canvas, loader)) for loader in family.loaders]
    start += [
        parts.closed(parts.pair(canvas, family)) if chosen else parts.pair(canvas, family),
        parts.member(canvas, "set1", "pair.subject", "subject", collapsed=True),
        parts.member(canvas, "set2", "pair.style", "style", "set1", collapsed=True),
        parts.closed(parts.number(canvas, "steps", family.sampling.steps, "Steps")),
        parts.model_files(canvas, family.files),
    ]
    how = family.sampling
    node = canvas.node(
        "train", "KLoRAPickAndLearn", (600, FILL),
        {
            "prompt": family.prompt, "negative": family.negative, "width": family.size,
            "height": family.size, "cfg": how.cfg, "sampler": how.sampler, "scheduler": how.scheduler,
            "seed": parts.SEED, "pictures": 2, "rules": _USUAL if chosen else "",
        },
        model="model.MODEL", clip=family.clip, vae=family.vae, set="set2.set", steps="steps.INT",
    )  # fmt: skip
    kept = [
        canvas.node(
            "lora", "SaveLoRA", (300, 100), {"prefix": f"loras/{prefix}", "steps": 200},
            title="Save the LoRA", collapsed=True, lora="train.lora",
        ),
        canvas.node(
            "report", "PreviewAny", (580, 690), title="Report", collapsed=True, source="train.report"
        ),
    ]  # fmt: skip
    image = _image(canvas, family.prompt, prefix, family, with_steps=False)
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [[Box("2 · Pick and learn", parts.GREEN, 600, [node])]],
        [
            [Box("What was learned", parts.GREY, 360, kept)],
            [Box("3 · Prompt and image", parts.GOLD, 360, image)],
        ],
    )
    canvas.app(_APP, ["save"])
    return canvas


_APP = [("pair", "subject_lora"), ("pair", "style_lora"), ("train", "prompt"), ("train", "klora_sheet")]
"""What app mode asks for, and the sheet below it."""


def _learned(canvas: Canvas, prefix: str, steps: int) -> list[Json]:
    """The file, the loss, the report: folded, as the training shows the loss on its own node."""
    return [
        canvas.node(
            "lora", "SaveLoRA", (330, 100), {"prefix": f"loras/{prefix}", "steps": steps},
            title="Save the LoRA", collapsed=True, lora="train.lora",
        ),
        canvas.node("loss", "LossGraphNode", (330, 290), title="Loss", collapsed=True, loss="train.loss"),
        canvas.node(
            "report", "PreviewAny", (330, 200), title="Report", collapsed=True, source="train.report"
        ),
    ]  # fmt: skip


def _image(
    canvas: Canvas, text: str, prefix: str, family: Family = SD15, with_steps: bool = True
) -> list[Json]:
    """A picture by the model that has what was learned; its steps by a number of its own, where none is."""
    words = [
        parts.prompt(canvas, text, family.clip, height=102),
        parts.closed(parts.avoid(canvas, family.negative, family.clip)),
    ]
    if with_steps:
        words.append(parts.number(canvas, "steps", family.sampling.steps, "Steps"))
    return [
        *words,
        parts.closed(parts.empty(canvas, family.latent, family.size)),
        parts.sampler(canvas, family.sampling, model="train.model", title="KSampler"),
        parts.decode(canvas, family.vae),
        parts.saved(canvas, prefix, title="Image"),
    ]
