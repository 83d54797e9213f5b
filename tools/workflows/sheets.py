"""Workflows that end in a labelled sheet: ways to use two LoRAs, values of balance, every method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import parts
from .canvas import GAP, GROUP_PAD, Canvas, Json
from .families import SD15
from .host_nodes import HostNodes

_SPACING = 8

_FIRST = """**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for SD1.5. Every column uses them.
2. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run."""

_SWAP = """**Another base model:** pick it in *Checkpoint*, with two LoRAs made for it; for SDXL also set \
*Image size* to 1024 x 1024. FLUX and Z-Image need loaders, latent and cfg of their own: copy them from \
`k-lora-flux` and `k-lora-z-image`."""

_COMPARE_NOTE = f"""# Five ways to use two LoRAs

One seed, one prompt, one sheet: no LoRA, subject only, style only, both simply added, K-LoRA.

{_FIRST}

**What to look for:** a *plain sum* that shows neither LoRA well, and *K-LoRA* that keeps the subject of the \
second image and the style of the third. If not, move **balance** in *K-LoRA Fuse*.

All five share one text encoder, with the text parts of both LoRAs if they have any: what differs is the \
model alone.

{_SWAP}
"""

_SWEEP_NOTE = f"""# What balance does for your two LoRAs

One seed, one prompt, five values of **balance** from subject to style, joined into a strip.

{_FIRST}

Then compare the strip with the maps above it: yellow layers use the subject, blue ones the style. Keep the \
value that you like best.

The two LoRAs are scored once, by the first column; the other four take over its scores.

**Other values:** set **balance** in a column, and the text of its label. Other settings of *K-LoRA Fuse* \
have to be the same in all five.

{_SWAP}
"""

BALANCES = {
    -1.0: "balance -1 (subject)",
    -0.5: "balance -0.5",
    0.0: "balance 0",
    0.5: "balance 0.5",
    1.0: "balance 1 (style)",
}


METHODS: dict[str, dict[str, Any]] = {
    "K-LoRA": {"method": "K-LoRA"},
    "LoRA Switch": {"method": "LoRA Switch", "method.turn.tau": 2},
    "LoRA Composite": {"method": "LoRA Composite"},
    "CMLoRA": {"method": "CMLoRA"},
}
MERGES = ("Linear", "NP-LoRA", "TIES", "KnOTS")

_METHODS_NOTE = f"""# Every method on your two LoRAs

One seed, one prompt, one sheet. Left, methods that choose over time (*Compose LoRAs*); right, LoRAs merged \
once (*Merge LoRAs*).

{_FIRST}

**What to look for:** the column that keeps the subject and has the style. No table knows it for your pair.

*LoRA Composite* and *CMLoRA* run the model once for each LoRA: they take twice as long. *B-LoRA* is for \
SDXL alone: there, choose it as `method` in a column. *Linear* is the plain sum.

{_SWAP}
"""


def methods(host: HostNodes) -> Json:
    """Four methods that choose over time and four merges on one seed."""
    canvas = Canvas(host)
    start, models = _start(canvas, _METHODS_NOTE)
    models += [
        parts.member(canvas, "set1", "pair.subject", "subject"),
        parts.member(canvas, "set2", "pair.style", "style", "set1"),
    ]
    composed = [
        parts.compose(canvas, "set2", widgets, name=f"fuse{at}")
        for at, widgets in enumerate(METHODS.values())
    ]
    merged = [_merged(canvas, at, label) for at, label in enumerate(MERGES)]
    shared = _shared(canvas, "fuse0.clip")
    ways = {label: f"fuse{at}.model" for at, label in enumerate(METHODS)}
    ways |= {label: f"merged{at}.model" for at, label in enumerate(MERGES)}
    columns = _columns(canvas, ways)
    for label, nodes in zip(ways, [*([node] for node in composed), *merged], strict=True):
        columns[label] = [*nodes, *columns[label]]
    x_models, _ = canvas.group("Start here", parts.GREY, (0, 0), start)
    _, y = canvas.group("1 · Model and LoRAs", parts.BLUE, (x_models, 0), models)
    x, _ = canvas.group("2 · Prompt, the same for all", parts.PURPLE, (x_models, y), shared)
    _result(canvas, x, columns, "Sheet", "k-lora-methods")
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d3e70")


def _merged(canvas: Canvas, at: int, label: str) -> list[Json]:
    """The two LoRAs merged by a method, and added to the model."""
    merge = canvas.node(
        f"merge{at}", "KLoRAMerge", (380, 260), {"method": label}, model="model.MODEL", set="set2.set"
    )
    loader = canvas.node(
        f"merged{at}", "LoraModelLoader", (380, 140),
        title="Add the merged LoRA", model="model.MODEL", lora=f"merge{at}.lora",
    )  # fmt: skip
    return [merge, loader]


def compare(host: HostNodes) -> Json:
    """No LoRA, subject only, style only, plain sum and K-LoRA on one seed."""
    canvas = Canvas(host)
    start, models = _start(canvas, _COMPARE_NOTE)
    added = [
        _added(canvas, "subject", "subject", "model.MODEL", "Subject only"),
        _added(canvas, "style", "style", "model.MODEL", "Style only"),
        _added(canvas, "half", "subject", "model.MODEL", "Plain sum: the subject"),
        _added(canvas, "sum", "style", "half.model", "Plain sum: and the style"),
    ]
    fuse = parts.fuse(canvas)
    shared = _shared(canvas, "fuse.clip")
    ways = {
        "no LoRA": "model.MODEL",
        "subject only": "subject.model",
        "style only": "style.model",
        "plain sum": "sum.model",
        "K-LoRA": "fuse.model",
    }
    columns = _columns(canvas, ways)
    x_models, _ = canvas.group("Start here", parts.GREY, (0, 0), start)
    x, y = canvas.group("1 · Model and LoRAs", parts.BLUE, (x_models, 0), models)
    canvas.group("2 · LoRAs added as usual", parts.BLUE, (x_models, y), added)
    x, _ = canvas.group("3 · Fuse", parts.GREEN, (x, 0), [fuse])
    x, _ = canvas.group("4 · Prompt, the same for all", parts.PURPLE, (x, 0), shared)
    _result(canvas, x, columns, "Sheet", "k-lora-compare")
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3dc035")


def balance_sweep(host: HostNodes) -> Json:
    """K-LoRA at five values of balance on one seed."""
    canvas = Canvas(host)
    start, models = _start(canvas, _SWEEP_NOTE)
    fuses = [
        parts.fuse(canvas, name=f"fuse{at}", widgets={"balance": value}) for at, value in enumerate(BALANCES)
    ]
    shared = _shared(canvas, "fuse0.clip")
    columns = _columns(canvas, {label: f"fuse{at}.model" for at, label in enumerate(BALANCES.values())})
    columns = {label: [fuse, *rest] for fuse, (label, rest) in zip(fuses, columns.items(), strict=True)}
    x_models, _ = canvas.group("Start here", parts.GREY, (0, 0), start)
    _, y = canvas.group("1 · Model and LoRAs", parts.BLUE, (x_models, 0), models)
    x, _ = canvas.group("2 · Prompt, the same for all", parts.PURPLE, (x_models, y), shared)
    _result(canvas, x, columns, "Strip", "k-lora-balance")
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3dba15")


def _start(canvas: Canvas, text: str) -> tuple[list[Json], list[Json]]:
    """The note; the checkpoint and the two LoRAs."""
    note = parts.note(canvas, text, SD15.files, 580)
    return [note], [parts.loader(canvas, SD15.loaders[0]), parts.pair(canvas, SD15.slug)]


def _shared(canvas: Canvas, clip: str) -> list[Json]:
    """What all images have in common."""
    return [
        parts.prompt(canvas, SD15.prompt, clip),
        parts.avoid(canvas, SD15.negative, clip),
        parts.empty(canvas, SD15.latent, SD15.size),
        parts.number(canvas, "seed", parts.SEED, "Seed"),
        parts.number(canvas, "steps", SD15.sampling.steps, "Steps"),
    ]


def _added(canvas: Canvas, name: str, role: str, model: str, title: str) -> Json:
    """One whole LoRA added by the core loader."""
    return canvas.node(name, "LoraModelLoader", (380, 140), title=title, model=model, lora=f"pair.{role}")


def _columns(canvas: Canvas, models: Mapping[str, str]) -> dict[str, list[Json]]:
    """Sampler, decoder and label of each model; from the second on, what adds the image to the sheet."""
    columns: dict[str, list[Json]] = {}
    joined = "label0.images"
    for at, (label, model) in enumerate(models.items()):
        sampler = parts.sampler(canvas, SD15.sampling, name=f"sampler{at}", model=model, seed="seed.INT")
        decode = parts.decode(canvas, name=f"decode{at}", latent=f"sampler{at}")
        text = {"text": label, "font_size": 7.0, "align": "center"}
        overlay = canvas.node(
            f"label{at}", "TextOverlay", (340, 240), text, title="Label", images=f"decode{at}.IMAGE"
        )
        columns[label] = [sampler, decode, overlay]
        if at:
            join = canvas.node(
                f"join{at}", "ImageStitch", (340, 150), {"spacing_width": _SPACING},
                title="Join to the right", image1=joined, image2=f"label{at}.images",
            )  # fmt: skip
            columns[label].append(join)
            joined = f"join{at}.IMAGE"
    return columns


def _result(canvas: Canvas, left: int, columns: Mapping[str, list[Json]], title: str, prefix: str) -> None:
    """The columns side by side, and below them, as wide as they are, their images in one row."""
    x, below = left, 0
    for label, nodes in columns.items():
        kloras = any(node["type"] in ("KLoRAFuse", "KLoRACompose") for node in nodes) or label == "K-LoRA"
        x, y = canvas.group(label, parts.GREEN if kloras else parts.GOLD, (x, 0), nodes)
        below = max(below, y)
    inside = x - left - 2 * (GAP + GROUP_PAD)
    joined = f"join{len(columns) - 1}.IMAGE"
    sheet = canvas.node(
        "sheet", "SaveImage", (inside, inside // len(columns) + 120), {"filename_prefix": prefix},
        title=title, images=joined,
    )  # fmt: skip
    canvas.group(title, parts.GOLD, (left, below), [sheet])
