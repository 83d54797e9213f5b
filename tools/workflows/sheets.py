"""Workflows that end in a labelled sheet: ways to use two LoRAs, values of balance, every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import Box, lay_out
from .families import SD15

_SPACING = 8

_FIRST = """**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for SD1.5. Every image uses them.
2. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run."""

_SWAP = """**Another base model:** pick it in *Checkpoint*, with two LoRAs made for it; for SDXL also set \
*Image size* to 1024 x 1024. FLUX and Z-Image need loaders, latent and cfg of their own: copy them from \
templates 03 and 04."""

_COMPARE_NOTE = f"""# Five ways to use two LoRAs

One seed, one prompt, one sheet: no LoRA, subject only, style only, both simply added, K-LoRA.

{_FIRST}

**What to look for:** a *plain sum* that shows neither LoRA well, and *K-LoRA* that keeps the subject of the \
second image and the style of the third. If not, move **balance** in *K-LoRA Fuse*.

{_SWAP}
"""

_SWEEP_NOTE = f"""# What balance does for your two LoRAs

One seed, one prompt, an image for each **balance** from subject to style, on one sheet.

{_FIRST}

**Other values:** write them into **balances** of *K-LoRA Sweep*; **over** offers strengths, schedules and \
methods instead. *Sheet of all* puts three in a row, each at 512 x 512: set its cells where the size is \
another.

{_SWAP}
"""


METHODS: dict[str, dict[str, Any]] = {
    "K-LoRA": {"method": "K-LoRA"},
    "LoRA Switch": {"method": "LoRA Switch", "method.turn.tau": 2},
    "LoRA Composite": {"method": "LoRA Composite"},
    "CMLoRA": {"method": "CMLoRA"},
}
MERGES = ("Linear", "NP-LoRA", "TIES", "KnOTS")

_METHODS_NOTE = f"""# Every method on your two LoRAs

Above, methods that choose over time (*Compose LoRAs*); below, LoRAs merged once (*Merge LoRAs*), *Linear* \
being the plain sum. All but the first are in *Details*.

{_FIRST}

**What to look for:** the image that keeps the subject and has the style. No table knows it for your pair.
"""


def methods(host: HostNodes) -> Json:
    """Four methods that choose over time and four merges on one seed."""
    canvas = Canvas(host)
    start = _start(canvas, _METHODS_NOTE)
    start[3:3] = [
        parts.member(canvas, "set1", "pair.subject", "subject", collapsed=True),
        parts.member(canvas, "set2", "pair.style", "style", "set1", collapsed=True),
    ]
    composed = [
        parts.compose(canvas, "set2", widgets, name=f"fuse{at}", title=label if at else "")
        for at, (label, widgets) in enumerate(METHODS.items())
    ]
    merged = [_merged(canvas, at, label) for at, label in enumerate(MERGES)]
    ways = {label: f"fuse{at}.model" for at, label in enumerate(METHODS)}
    ways |= {label: f"merged{at}.model" for at, label in enumerate(MERGES)}
    own = [[], *([node] for node in composed[1:]), *merged]
    return _sheet(canvas, start, composed[0], ways, own, 4, "k-lora-methods", "3e70")


def _merged(canvas: Canvas, at: int, label: str) -> list[Json]:
    """The two LoRAs merged by a method, and added to the model."""
    merge = canvas.node(
        f"merge{at}", "KLoRAMerge", (300, 150), {"method": label}, title=label, collapsed=True,
        model="model.MODEL", set="set2.set",
    )  # fmt: skip
    return [merge, _added(canvas, f"merged{at}", f"merge{at}.lora", "model.MODEL", "Add")]


def compare(host: HostNodes) -> Json:
    """No LoRA, subject only, style only, plain sum and K-LoRA on one seed."""
    canvas = Canvas(host)
    start = _start(canvas, _COMPARE_NOTE)
    own = [
        [],
        [_added(canvas, "subject", "pair.subject", "model.MODEL", "Subject")],
        [_added(canvas, "style", "pair.style", "model.MODEL", "Style")],
        [
            _added(canvas, "half", "pair.subject", "model.MODEL", "Subject"),
            _added(canvas, "sum", "pair.style", "half.model", "+ style"),
        ],
        [],
    ]
    fuse = parts.fuse(canvas)
    ways = {
        "no LoRA": "model.MODEL",
        "subject only": "subject.model",
        "style only": "style.model",
        "plain sum": "sum.model",
        "K-LoRA": "fuse.model",
    }
    return _sheet(canvas, start, fuse, ways, own, 3, "k-lora-compare", "c035", "fuse.clip")


def balance_sweep(host: HostNodes) -> Json:
    """K-LoRA at five values of balance on one seed, by one node."""
    canvas = Canvas(host)
    start = [
        parts.note(canvas, _SWEEP_NOTE),
        parts.loader(canvas, SD15.loaders[0]),
        parts.pair(canvas, SD15),
    ]
    sweep = canvas.node(
        "sweep", "KLoRASweep", (320, 280), model="model.MODEL", clip="model.CLIP",
        subject="pair.subject", style="pair.style",
    )  # fmt: skip
    report = canvas.node(
        "report", "PreviewAny", (580, 690), title="Report", collapsed=True, source="sweep.report"
    )
    words = [
        parts.prompt(canvas, SD15.prompt, "sweep.clips"),
        parts.avoid(canvas, SD15.negative, "sweep.clips"),
        parts.empty(canvas, SD15.latent, SD15.size),
    ]
    steps = parts.number(canvas, "steps", SD15.sampling.steps, "Steps")
    made = [parts.sampler(canvas, SD15.sampling, model="sweep.models"), parts.decode(canvas)]
    text = {"font_size": 7.0, "align": "center"}
    label = canvas.node(
        "label", "TextOverlay", (300, 240), text, title="Label", collapsed=True,
        images="decode.IMAGE", text="sweep.labels",
    )  # fmt: skip
    size = {"columns": 3, "cell_width": SD15.size, "cell_height": SD15.size, "padding": _SPACING}
    grid = canvas.node(
        "grid", "ImageGrid", (300, 150), size, title="Sheet of all", collapsed=True, images="label.images"
    )
    image = [steps, *made, label, grid]
    image.append(parts.saved(canvas, "k-lora-balance", "grid.images", "Sheet"))
    start.append(parts.model_files(canvas, SD15.files))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [[Box("2 · Sweep", parts.GREEN, 320, [sweep, report])]],
        [[Box("3 · Prompt", parts.PURPLE, 280, words)]],
        [[Box("4 · Sheet", parts.GOLD, 360, image)]],
    )
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3dba15")


def _start(canvas: Canvas, text: str) -> list[Json]:
    """The note, the checkpoint, the two LoRAs, the size."""
    return [
        parts.note(canvas, text),
        parts.loader(canvas, SD15.loaders[0]),
        parts.pair(canvas, SD15),
        parts.closed(parts.empty(canvas, SD15.latent, SD15.size)),
    ]


def _added(canvas: Canvas, name: str, lora: str, model: str, title: str) -> Json:
    """One whole LoRA added by the core loader."""
    return canvas.node(
        name, "LoraModelLoader", (300, 110), title=title, collapsed=True, model=model, lora=lora
    )


def _sheet(
    canvas: Canvas,
    start: list[Json],
    fuse: Json,
    ways: Mapping[str, str],
    own: Sequence[list[Json]],
    across: int,
    prefix: str,
    last: str,
    clip: str = "fuse0.clip",
) -> Json:
    """One way open, the sheet of all; collapsed, for each way its own and join, then what samples."""
    shared = [
        parts.prompt(canvas, SD15.prompt, clip, 102),
        parts.closed(parts.avoid(canvas, SD15.negative, clip)),
        parts.closed(parts.number(canvas, "seed", parts.SEED, "Seed")),
        parts.number(canvas, "steps", SD15.sampling.steps, "Steps"),
    ]
    rows = [_row(canvas, at, label, model) for at, (label, model) in enumerate(ways.items())]
    joined, joins = _joined(canvas, len(ways), across)
    table: list[list[Json | None]] = []
    for nodes, join, row in zip(own, joins, rows, strict=True):
        if before := [*nodes, *filter(None, [join])]:
            table.append([*before, *[None] * (len(row) - len(before))])
        table.append(row)
    save = parts.saved(canvas, prefix, joined, "Sheet")
    start.append(parts.model_files(canvas, SD15.files))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [[Box("2 · Fuse", parts.GREEN, 320, [fuse])]],
        [
            [Box("3 · The same for all", parts.PURPLE, 280, shared), Box("Sheet", parts.GOLD, 378, [save])],
            [Box("Details: two rows for each image", parts.GREY, 702, table=table)],
        ],
    )
    return canvas.saved(f"0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d{last}")


def _row(canvas: Canvas, at: int, label: str, model: str) -> list[Json | None]:
    """Sampler, decoder and label of one way."""
    text = {"text": label, "font_size": 7.0, "align": "center"}
    return [
        parts.sampler(
            canvas, SD15.sampling, name=f"sampler{at}", title="Sample", model=model, seed="seed.INT"
        ),
        parts.decode(canvas, name=f"decode{at}", latent=f"sampler{at}"),
        canvas.node(
            f"label{at}", "TextOverlay", (300, 240), text, title="Label", collapsed=True,
            images=f"decode{at}.IMAGE",
        ),
    ]  # fmt: skip


def _joined(canvas: Canvas, count: int, across: int) -> tuple[str, list[Json | None]]:
    """The labelled images in two rows: where the sheet comes out, and what joins, one for each image."""
    joins: list[Json | None] = [None] * count
    ends = []
    for first in range(0, count, across):
        joined = f"label{first}.images"
        for at in range(first + 1, min(first + across, count)):
            joins[at] = _join(canvas, f"join{at}", "Join", joined, f"label{at}.images", "right")
            joined = f"join{at}.IMAGE"
        ends.append(joined)
    joins[across] = _join(canvas, "rows", "Rows", ends[0], ends[1], "down")
    return "rows.IMAGE", joins


def _join(canvas: Canvas, name: str, title: str, first: str, second: str, direction: str) -> Json:
    # Not matched in size: a row of two would be made as wide as a row of three.
    widgets = {"direction": direction, "match_image_size": False, "spacing_width": _SPACING}
    return canvas.node(
        name, "ImageStitch", (300, 150), widgets, title=title, collapsed=True, image1=first, image2=second
    )
