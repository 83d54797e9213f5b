"""Workflows of more than two LoRAs: two styles merged and then fused, and any number by role."""

from __future__ import annotations

from . import parts
from .canvas import Canvas, Json
from .families import SD15
from .host_nodes import HostNodes

_FILES = {
    "subject": ("subject-sd15.safetensors", "Subject LoRA"),
    "style": ("style-sd15.safetensors", "First style LoRA"),
    "style2": ("style2-sd15.safetensors", "Second style LoRA"),
}

_MANY_STYLES = """# Your subject in two styles at once

**Change first**

1. The three *LoRA* loaders: your files, all made for SD1.5.
2. *Prompt*: the trigger words of **all three** LoRAs.
3. Run.

*Merge LoRAs* makes one style of the two, once; *K-LoRA Fuse* puts the subject into it.

**Then two dials**

- one style too strong? its **strength** in *LoRA Set*
- subject lost? **balance** toward **-1**; styles too weak? toward **+1**

**Other merges:** `method` in *Merge LoRAs*. To keep the merged style as a file, connect *Save LoRA Weights* \
to its `lora` output.
"""

_LORA_STACK = """# Any number of LoRAs, by role

**Change first**

1. The three *LoRA* loaders: your files, all made for SD1.5.
2. *LoRA Set*: what each is. subject: who. style: how. other: neither, always on.
3. *Prompt*: the trigger words of **all** LoRAs.
4. Run.

**More LoRAs:** one loader and one *LoRA Set* more, between the last set and *Compose LoRAs*.

**A LoRA stack of another pack:** connect it to `lora_stack` of a *LoRA Set* in the place of the three. Its \
first LoRA is the subject, the others are styles; `stack_roles` changes that.

**Another method:** `method` in *Compose LoRAs*. K-LoRA gives each layer and step the strongest subject or \
the strongest style. LoRA Switch lets all of them take turns.
"""


def many_styles(host: HostNodes) -> Json:
    """Two styles to one by Merge LoRAs, then fused with a subject."""
    canvas = Canvas(host)
    start, models = _start(canvas, _MANY_STYLES)
    merge = [
        parts.member(canvas, "set1", "style.lora", "style", strength=0.7),
        parts.member(canvas, "set2", "style2.lora", "style", "set1", strength=0.7),
        canvas.node("merge", "KLoRAMerge", (380, 200), model="model.MODEL", set="set2.set"),
        canvas.node("merged", "PreviewAny", (380, 240), title="What was merged", source="merge.report"),
    ]
    fuse = canvas.node(
        "fuse", "KLoRAFuse", (380, parts.FUSE_WITH_MAP),
        model="model.MODEL", subject="subject.lora", style="merge.lora", clip="model.CLIP",
    )  # fmt: skip
    return _saved(canvas, start, models, merge, "2 · Merge the styles", fuse, "k-lora-many-styles", "51")


def lora_stack(host: HostNodes) -> Json:
    """Three LoRAs with their roles, composed by K-LoRA."""
    canvas = Canvas(host)
    start, models = _start(canvas, _LORA_STACK)
    sets = [
        parts.member(canvas, "set1", "subject.lora", "subject"),
        parts.member(canvas, "set2", "style.lora", "style", "set1"),
        parts.member(canvas, "set3", "style2.lora", "style", "set2"),
    ]
    fuse = parts.compose(canvas, "set3", {})
    return _saved(canvas, start, models, sets, "2 · Roles", fuse, "k-lora-lora-stack", "52")


def _start(canvas: Canvas, text: str) -> tuple[list[Json], list[Json]]:
    """The note; the checkpoint and three LoRAs."""
    note = parts.note(canvas, text, SD15.files, 620)
    loras = [parts.lora(canvas, name, *file) for name, file in _FILES.items()]
    return [note], [parts.loader(canvas, SD15.loaders[0]), *loras]


def _saved(
    canvas: Canvas,
    start: list[Json],
    models: list[Json],
    before: list[Json],
    title: str,
    fuse: Json,
    prefix: str,
    last: str,
) -> Json:
    """Groups from left to right, with the report and the selection map below."""
    steps = SD15.sampling.steps
    words = [
        parts.prompt(canvas, SD15.prompt),
        parts.avoid(canvas, SD15.negative),
        parts.empty(canvas, SD15.latent, SD15.size),
        parts.number(canvas, "steps", steps, "Steps"),
    ]
    image = [parts.sampler(canvas, SD15.sampling), parts.decode(canvas)]
    save = canvas.node(
        "save", "SaveImage", (560, 640), {"filename_prefix": prefix}, title="Image", images="decode.IMAGE"
    )
    report = canvas.node("report", "PreviewAny", (580, 690), title="Report", source="fuse.report")
    map_ = canvas.node(
        "map", "KLoRASelectionMap", (580, 92), {"steps": steps}, plan="fuse.plan", steps="steps.INT"
    )
    shown = canvas.node("shown", "PreviewImage", (640, 830), title="Selection map", images="map.image")
    x, _ = canvas.group("Start here", parts.GREY, (0, 0), start)
    x, _ = canvas.group("1 · Model and LoRAs", parts.BLUE, (x, 0), models)
    x, _ = canvas.group(title, parts.BLUE, (x, 0), before)
    x_right, _ = canvas.group("3 · Compose", parts.GREEN, (x, 0), [fuse])
    x, below_prompt = canvas.group("4 · Prompt", parts.PURPLE, (x_right, 0), words)
    x, below_image = canvas.group("5 · Image", parts.GOLD, (x, 0), image)
    _, below_result = canvas.group("Result", parts.GOLD, (x, 0), [save])
    row = max(below_prompt, below_image, below_result)
    canvas.group("What was chosen", parts.GREEN, (x_right, row), [map_, report], [shown])
    return canvas.saved(f"0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d15{last}")
