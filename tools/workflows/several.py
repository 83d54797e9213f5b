"""Workflows of more than two LoRAs: two styles merged and then fused, and any number by role."""

from __future__ import annotations

from . import parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import FILL, Box, lay_out
from .families import SD15

_LORAS = (
    ("subject", "subject", "Subject LoRA"),
    ("style", "style", "First style LoRA"),
    ("style2", "second style", "Second style LoRA"),
)
"""Name, role in words, title."""

_MANY_STYLES = """# A subject in two styles

**Change first**

1. The three *LoRA* loaders: your files, all made for SD1.5.
2. *Prompt*: the trigger words of **all three** LoRAs.
3. Run.

**Then two dials**

- one style too strong? its **strength** in *LoRA Set*
- **balance**: by tenths, down for the subject, up for the styles
"""

_LORA_STACK = """# Any number of LoRAs, by role

**Change first**

1. The three *LoRA* loaders: your files, all made for SD1.5.
2. *LoRA Set*: who (subject), how (style), or always on (other).
3. *Prompt*: the trigger words of **all** LoRAs.
4. Run.

**More LoRAs:** a loader and a *LoRA Set* more. **A stack of another pack:** to `lora_stack` of a *LoRA Set*.
"""

_BY_HAND = """# LoRAs by hand

Who works when, where and how strongly is up to you: *Compose LoRAs* with **As scheduled**.

**Change first**: your three files, and in the *Prompt* **all** their trigger words.

**Then, in each LoRA Set**

- **start**, **end**: shares of the run
- **curve**: `0:1, 0.4:0.6, 1:0`
- **blocks**: `down 1-3: 0, mid: 0.5`
"""

_BY_PROMPT = """# LoRAs found by the prompt

The loras folder is searched for a subject and a style that suit the prompt.

**Change first**

1. *Prompt*: what you want to see, with trigger words if you know them.
2. Run, and read *What was picked*: scores, why, and what was left out.

**The wrong ones?** Sort your files into folders *subjects* and *styles*, or fill **style_files**.
**A LoRA out of nowhere?** Disconnect *Pick*'s `clip`: trigger words alone count then.
"""


def many_styles(host: HostNodes) -> Json:
    """Two styles to one by Merge LoRAs, then fused with a subject."""
    canvas = Canvas(host)
    start = _start(canvas, _MANY_STYLES)
    merge = [
        parts.member(canvas, "set1", "style.lora", "style", strength=0.7),
        parts.member(canvas, "set2", "style2.lora", "style", "set1", strength=0.7, collapsed=True),
        canvas.node("merge", "KLoRAMerge", (240, 158), model="model.MODEL", set="set2.set"),
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
        parts.member(canvas, "set2", "style.lora", "style", "set1", collapsed=True),
        parts.member(canvas, "set3", "style2.lora", "style", "set2", collapsed=True),
    ]
    fuse = parts.compose(canvas, "set3", {})
    return _saved(canvas, start, sets, "2 · Roles", fuse, "k-lora-lora-stack", "52")


def by_prompt(host: HostNodes) -> Json:
    """A subject and a style that the prompt finds, composed by K-LoRA."""
    canvas = Canvas(host)
    start = [parts.note(canvas, _BY_PROMPT), parts.closed(parts.loader(canvas, SD15.loaders[0]))]
    text = canvas.node("text", "PrimitiveStringMultiline", (300, 160), {"value": SD15.prompt}, title="Prompt")
    pick = [
        canvas.node(
            "pick", "KLoRAPickLoras", (300, 334), {"prompt": ""}, title="Pick",
            model="model.MODEL", clip="model.CLIP", prompt="text.STRING",
        ),
        canvas.node("why", "PreviewAny", (300, FILL), title="What was picked", source="pick.report"),
    ]  # fmt: skip
    fuse = parts.compose(canvas, "pick", {})
    start.append(text)
    return _saved(canvas, start, pick, "2 · Pick", fuse, "k-lora-by-prompt", "54", prompt="text.STRING")


def by_hand(host: HostNodes) -> Json:
    """Three LoRAs, each when, where and as strongly as its LoRA Set says."""
    canvas = Canvas(host)
    start = _start(canvas, _BY_HAND)
    sets = [
        parts.member(
            canvas, "set1", "subject.lora", "subject", collapsed=True, by_hand={"curve": "0:1, 0.5:1, 1:0.5"}
        ),
        parts.member(
            canvas,
            "set2",
            "style.lora",
            "style",
            "set1",
            collapsed=True,
            by_hand={"start": 0.3, "curve": "0.3:0.2, 0.8:0.8"},
        ),
        parts.member(
            canvas,
            "set3",
            "style2.lora",
            "style",
            "set2",
            by_hand={"start": 0.7, "blocks": "all: 0, up: 0.3"},
        ),
    ]
    fuse = parts.compose(canvas, "set3", {"method": "As scheduled"})
    return _saved(canvas, start, sets, "2 · When and where", fuse, "k-lora-by-hand", "53")


def _start(canvas: Canvas, text: str) -> list[Json]:
    """The note, the checkpoint and three LoRAs."""
    note, loader = parts.note(canvas, text), parts.closed(parts.loader(canvas, SD15.loaders[0]))
    return [note, loader, *(parts.lora(canvas, *lora) for lora in _LORAS)]


def _saved(
    canvas: Canvas,
    start: list[Json],
    before: list[Json],
    title: str,
    fuse: Json,
    prefix: str,
    last: str,
    prompt: str = "",
) -> Json:
    """Files, what is made of them, the fusion, the image; collapsed, what was chosen.

    ``prompt`` is the output that gives the prompt, where a node before has it.
    """
    steps = SD15.sampling.steps
    size = parts.closed(parts.empty(canvas, SD15.latent, SD15.size))
    image = [
        parts.closed(parts.prompt(canvas, "", text=prompt)) if prompt else parts.prompt(canvas, SD15.prompt),
        parts.avoid(canvas, SD15.negative),
        parts.number(canvas, "steps", steps, "Steps"),
        size,
        parts.sampler(canvas, SD15.sampling, title="KSampler"),
        parts.decode(canvas),
        parts.saved(canvas, prefix, title="Image"),
    ]
    details = parts.details(canvas, steps)
    start.append(parts.model_files(canvas, SD15.files))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [
            [Box(title, parts.BLUE, 250, before)],
            [Box("Details", parts.GREY, 250, details)],
        ],
        [[Box("3 · Compose", parts.GREEN, 320, [fuse])]],
        [[Box("4 · Prompt and image", parts.GOLD, 380, image)]],
    )
    return canvas.saved(f"0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d15{last}")
