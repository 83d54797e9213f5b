"""Workflows of more than two LoRAs: two styles merged and then fused, and any number by role."""

from __future__ import annotations

from . import parts
from .canvas import Canvas, Json
from .families import SD15
from .host_nodes import HostNodes
from .layout import FILL, Box, lay_out

_LORAS = (
    ("subject", "subject", "Subject LoRA"),
    ("style", "style", "First style LoRA"),
    ("style2", "second style", "Second style LoRA"),
)
"""Name, role in words, title."""

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
    start = _start(canvas, _MANY_STYLES)
    merge = [
        parts.member(canvas, "set1", "style.lora", "style", strength=0.7),
        parts.member(canvas, "set2", "style2.lora", "style", "set1", strength=0.7),
        canvas.node("merge", "KLoRAMerge", (240, 126), model="model.MODEL", set="set2.set"),
        canvas.node(
            "merged", "PreviewAny", (380, 240), title="What was merged", collapsed=True, source="merge.report"
        ),
    ]
    fuse = canvas.node(
        "fuse", "KLoRAFuse", (320, FILL),
        model="model.MODEL", subject="subject.lora", style="merge.lora", clip="model.CLIP",
    )  # fmt: skip
    return _saved(canvas, start, merge, "2 · Merge", fuse, "k-lora-many-styles", "51")


def lora_stack(host: HostNodes) -> Json:
    """Three LoRAs with their roles, composed by K-LoRA."""
    canvas = Canvas(host)
    start = _start(canvas, _LORA_STACK)
    sets = [
        parts.member(canvas, "set1", "subject.lora", "subject"),
        parts.member(canvas, "set2", "style.lora", "style", "set1"),
        parts.member(canvas, "set3", "style2.lora", "style", "set2"),
    ]
    fuse = parts.compose(canvas, "set3", {})
    return _saved(canvas, start, sets, "2 · Roles", fuse, "k-lora-lora-stack", "52")


def _start(canvas: Canvas, text: str) -> list[Json]:
    """The note, the checkpoint and three LoRAs."""
    note = parts.note(canvas, text, SD15.files)
    loras = [parts.lora(canvas, *lora) for lora in _LORAS]
    return [note, parts.loader(canvas, SD15.loaders[0]), *loras]


def _saved(
    canvas: Canvas, start: list[Json], before: list[Json], title: str, fuse: Json, prefix: str, last: str
) -> Json:
    """Files, what is made of them, the fusion, the image; collapsed, what was chosen."""
    steps = SD15.sampling.steps
    size = parts.empty(canvas, SD15.latent, SD15.size)
    size["flags"] = {"collapsed": True}
    image = [
        parts.prompt(canvas, SD15.prompt),
        parts.avoid(canvas, SD15.negative),
        parts.number(canvas, "steps", steps, "Steps"),
        size,
        parts.sampler(canvas, SD15.sampling, title="KSampler"),
        parts.decode(canvas),
        parts.saved(canvas, prefix, title="Image"),
    ]
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [
            [Box(title, parts.BLUE, 250, before)],
            [Box("Details", parts.GREY, 250, parts.details(canvas, steps))],
        ],
        [[Box("3 · Compose", parts.GREEN, 320, [fuse])]],
        [[Box("4 · Prompt and image", parts.GOLD, 380, image)]],
    )
    return canvas.saved(f"0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d15{last}")
