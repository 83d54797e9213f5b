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


METHODS = ("K-LoRA", "LoRA Switch", "LoRA Composite", "CMLoRA")
MERGES = ("Linear", "NP-LoRA", "TIES", "KnOTS")

_METHODS_NOTE = f"""# Every method on your two LoRAs

First row: methods that choose over time, all of *K-LoRA Sweep*. Second row: LoRAs merged once (*Merge \
LoRAs*, in *Details*), *Linear* being the plain sum.

{_FIRST}

**What to look for:** the image that keeps the subject and has the style. No table knows it for your pair.
"""


def methods(host: HostNodes) -> Json:
    """Four methods that choose over time, by one node, and four merges on one seed."""
    canvas = Canvas(host)
    start = _start(canvas, _METHODS_NOTE)
    start += [
        parts.member(canvas, "set1", "pair.subject", "subject", collapsed=True),
        parts.member(canvas, "set2", "pair.style", "style", "set1", collapsed=True),
    ]
    sweep = _swept(canvas, {"over": "method", "over.methods": ", ".join(METHODS)})
    own = [node for at, label in enumerate(MERGES) for node in _merged(canvas, at, label)]
    models = ["sweep.models", *(f"merged{at}.model" for at in range(len(MERGES)))]
    own.insert(0, _list(canvas, "models", "Models", models))
    labels = _labels(canvas, MERGES, "sweep.labels")
    return _sheet(canvas, start, sweep, own, labels, 4, "k-lora-methods", "3e70")


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
        _added(canvas, "subject", "pair.subject", "model.MODEL", "Subject"),
        _added(canvas, "style", "pair.style", "model.MODEL", "Style"),
        _added(canvas, "half", "pair.subject", "model.MODEL", "Subject"),
        _added(canvas, "sum", "pair.style", "half.model", "+ style"),
    ]
    fuse = parts.fuse(canvas)
    models = ["model.MODEL", "subject.model", "style.model", "sum.model", "fuse.model"]
    own.insert(0, _list(canvas, "models", "Models", models))
    labels = _labels(canvas, ("no LoRA", "subject only", "style only", "plain sum", "K-LoRA"))
    return _sheet(canvas, start, fuse, own, labels, 3, "k-lora-compare", "c035", "fuse.clip")


def balance_sweep(host: HostNodes) -> Json:
    """K-LoRA at five values of balance on one seed, by one node."""
    canvas = Canvas(host)
    start = _start(canvas, _SWEEP_NOTE)
    sweep = _swept(canvas, {})
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


def _swept(canvas: Canvas, widgets: Mapping[str, Any]) -> Json:
    """All models of one node, in a list."""
    return canvas.node(
        "sweep", "KLoRASweep", (320, 280), widgets, model="model.MODEL", clip="model.CLIP",
        subject="pair.subject", style="pair.style",
    )  # fmt: skip


def _labels(canvas: Canvas, labels: Sequence[str], *first: str) -> list[Json]:
    """A text for each model that no node labels, and all in one list, those that ``first`` gives before."""
    texts = [
        canvas.node(
            f"text{at}", "PrimitiveString", (300, 58), {"value": label}, title="Label", collapsed=True
        )
        for at, label in enumerate(labels)
    ]
    sources = [*first, *(f"text{at}.STRING" for at in range(len(texts)))]
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
    fuse: Json,
    own: list[Json],
    labels: list[Json],
    across: int,
    prefix: str,
    last: str,
    clip: str = "sweep.clips",
) -> Json:
    """The sheet of the models in the list `models`, the first of `own`, which, collapsed, makes them."""
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
        # Below each other: wires from one to the other would cross the columns as a fan.
        [[Box("2 · Fuse", parts.GREEN, 320, [fuse])], [Box("Details", parts.GREY, 320, own)]],
        [[Box("3 · Prompt", parts.PURPLE, 280, shared)], [Box("Labels", parts.GREY, 280, labels)]],
        [[Box("4 · Sheet", parts.GOLD, 360, image)]],
    )
    return canvas.saved(f"0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d{last}")
