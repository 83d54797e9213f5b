"""Workflows that end in a labelled sheet: ways to use two LoRAs, values of balance, every method."""

from __future__ import annotations

from collections.abc import Sequence
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
being the plain sum. All but the first are collapsed.

{_FIRST}

**What to look for:** the image that keeps the subject and has the style. No table knows it for your pair.
"""


def methods(host: HostNodes) -> Json:
    """Four methods that choose over time and four merges on one seed."""
    canvas = Canvas(host)
    start = _start(canvas, _METHODS_NOTE)
    start += [
        parts.member(canvas, "set1", "pair.subject", "subject", collapsed=True),
        parts.member(canvas, "set2", "pair.style", "style", "set1", collapsed=True),
    ]
    fuse, *composed = (
        parts.compose(canvas, "set2", widgets, name=f"fuse{at}", title=label if at else "")
        for at, (label, widgets) in enumerate(METHODS.items())
    )
    merged = [_merged(canvas, at, label) for at, label in enumerate(MERGES)]
    models = [*(f"fuse{at}.model" for at in range(len(METHODS))), "merged.model"]
    lists = [
        *_labels(canvas, (*METHODS, *MERGES)),
        _list(canvas, "merges", "Merged", [f"merge{at}.lora" for at in range(len(MERGES))]),
        _added(canvas, "merged", "merges.list", "model.MODEL", "Add"),
        _list(canvas, "models", "Models", models),
    ]
    fused = [fuse, *composed, *merged]
    return _sheet(canvas, start, fused, lists, 4, "k-lora-methods", "3e70", "fuse0.clip")


def _merged(canvas: Canvas, at: int, label: str) -> Json:
    """The two LoRAs merged by a method."""
    return canvas.node(
        f"merge{at}", "KLoRAMerge", (300, 150), {"method": label}, title=label, collapsed=True,
        model="model.MODEL", set="set2.set",
    )  # fmt: skip


def compare(host: HostNodes) -> Json:
    """No LoRA, subject only, style only, plain sum and K-LoRA on one seed."""
    canvas = Canvas(host)
    start = _start(canvas, _COMPARE_NOTE)
    own = [
        _added(canvas, "subject", "pair.subject", "model.MODEL", "Subject"),
        _added(canvas, "style", "pair.style", "model.MODEL", "Style"),
        _added(canvas, "half", "pair.subject", "model.MODEL", "Subject"),
        _added(canvas, "sum", "pair.style", "half.model", "+ style"),
    ]
    fuse = parts.fuse(canvas)
    models = ["model.MODEL", "subject.model", "style.model", "sum.model", "fuse.model"]
    labels = _labels(canvas, ("no LoRA", "subject only", "style only", "plain sum", "K-LoRA"))
    lists = [*labels, _list(canvas, "models", "Models", models)]
    return _sheet(canvas, start, [fuse, *own], lists, 3, "k-lora-compare", "c035", "fuse.clip")


def balance_sweep(host: HostNodes) -> Json:
    """K-LoRA at five values of balance on one seed, by one node."""
    canvas = Canvas(host)
    start = _start(canvas, _SWEEP_NOTE)
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
    image = _image(canvas, "sweep.models", "sweep.labels", 3, "k-lora-balance")
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
    """The note, the checkpoint, the two LoRAs."""
    return [parts.note(canvas, text), parts.loader(canvas, SD15.loaders[0]), parts.pair(canvas, SD15)]


def _added(canvas: Canvas, name: str, lora: str, model: str, title: str) -> Json:
    """One whole LoRA added by the core loader."""
    return canvas.node(
        name, "LoraModelLoader", (300, 110), title=title, collapsed=True, model=model, lora=lora
    )


def _labels(canvas: Canvas, labels: Sequence[str]) -> list[Json]:
    """A text for each model, and all in one list."""
    texts = [
        canvas.node(
            f"text{at}", "PrimitiveString", (300, 58), {"value": label}, title="Label", collapsed=True
        )
        for at, label in enumerate(labels)
    ]
    sources = [f"text{at}.STRING" for at in range(len(texts))]
    return [*texts, _list(canvas, "labels", "Labels", sources)]


def _list(canvas: Canvas, name: str, title: str, sources: Sequence[str]) -> Json:
    """What `sources` give, in one list: what is behind it works for each."""
    wires = {f"inputs.input{at}": source for at, source in enumerate(sources)}
    return canvas.node(name, "CreateList", (300, 150), title=title, collapsed=True, **wires)


def _image(canvas: Canvas, models: str, labels: str, across: int, prefix: str) -> list[Json]:
    """One sampler for a list of models, and the sheet of its images."""
    text = {"font_size": 7.0, "align": "center"}
    size = {"columns": across, "cell_width": SD15.size, "cell_height": SD15.size, "padding": _SPACING}
    return [
        parts.number(canvas, "steps", SD15.sampling.steps, "Steps"),
        parts.sampler(canvas, SD15.sampling, model=models),
        parts.decode(canvas),
        canvas.node(
            "label", "TextOverlay", (300, 240), text, title="Label", collapsed=True,
            images="decode.IMAGE", text=labels,
        ),
        canvas.node(
            "grid", "ImageGrid", (300, 150), size, title="Sheet of all", collapsed=True, images="label.images"
        ),
        parts.saved(canvas, prefix, "grid.images", "Sheet"),
    ]  # fmt: skip


def _sheet(
    canvas: Canvas,
    start: list[Json],
    fused: list[Json],
    lists: list[Json],
    across: int,
    prefix: str,
    last: str,
    clip: str,
) -> Json:
    """The sheet of the models in the list `models`; the first of `fused` is open."""
    shared = [
        parts.prompt(canvas, SD15.prompt, clip, 102),
        parts.closed(parts.avoid(canvas, SD15.negative, clip)),
        parts.closed(parts.empty(canvas, SD15.latent, SD15.size)),
    ]
    image = _image(canvas, "models.list", "labels.list", across, prefix)
    start.append(parts.model_files(canvas, SD15.files))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        # What is fed from the left stands at the left: wires to it would cross another column as a fan.
        [[Box("2 · Fuse", parts.GREEN, 320, fused)]],
        [[Box("3 · Prompt", parts.PURPLE, 280, shared)], [Box("Details", parts.GREY, 280, lists)]],
        [[Box("4 · Sheet", parts.GOLD, 360, image)]],
    )
    return canvas.saved(f"0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d{last}")
