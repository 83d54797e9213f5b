"""Workflows of models that come in two parts: one for the noisy steps, one for the rest."""

from __future__ import annotations

from . import notes, parts
from .editor.canvas import Canvas, Json
from .editor.host_nodes import HostNodes
from .editor.layout import FILL, Box, lay_out
from .families import HUGGING_FACE, OPEN_RAIL_PP, SDXL, WAN, Sampling, checkpoint

_REFINER = checkpoint(
    "sd_xl_refiner_1.0.safetensors",
    f"{HUGGING_FACE}/stabilityai/stable-diffusion-xl-refiner-1.0/resolve/main",
    OPEN_RAIL_PP,
    "refiner",
    "Refiner",
    collapsed=True,
)[0]
_TO_REFINER, _TO_LOW = 24, 10
"""The step at which the second part takes over: of 30, and of 20 as in ComfyUI's own Wan template."""

_REFINER_NOTE = f"""# SDXL base and refiner

{notes.begin(SDXL)}

{notes.DIAL}
The LoRAs work in the base, up to the step in **Refiner from**: no LoRA of the base fits the refiner. Style \
still too weak? *Refiner from* later.
"""

_WAN_NOTE = """# Your subject in your style, as a video

Two models: *high noise* makes the movement, *low noise* the detail.

**Change first**

1. *Load Subject + Style LoRA{plural}*: {files}
2. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.

**Then one dial: balance**, in both *K-LoRA Fuse* nodes

- subject lost? down by tenths (**-0.1**, **-0.2**), then **schedule** s\\*
- style too weak? up by tenths

**progress** stays at **auto**: the low noise model goes on where the high noise model ended.
"""
_ONE_PAIR = "your two files, made for Wan 2.2 14B. Both models get them."
_TWO_PAIRS = "a subject and a style for each model, where your LoRAs come as a high and a low file."


def refiner(host: HostNodes) -> Json:
    """SDXL base with the two LoRAs, and the refiner for the last steps."""
    canvas, sampling = Canvas(host), SDXL.sampling
    start = [parts.note(canvas, _REFINER_NOTE), parts.closed(parts.loader(canvas, SDXL.loaders[0]))]
    start += [parts.loader(canvas, _REFINER), parts.pair(canvas, SDXL)]
    fuse = parts.fuse(canvas)
    words = [
        _text(canvas, "prompt", SDXL.prompt, "Prompt", 120),
        _text(canvas, "avoided", SDXL.negative, "Avoid", 102),
        *(_encoded(canvas, name, text, clip, title) for name, text, clip, title in _ENCODED),
        parts.empty(canvas, SDXL.latent, SDXL.size),
    ]
    image = _numbers(canvas, sampling, "Refiner from", _TO_REFINER)
    image += _samplers(canvas, sampling, "fuse.model", "refiner.MODEL", "Base", "Refiner")
    image += [parts.decode(canvas, latent="second"), parts.saved(canvas, "k-lora-refiner")]
    details = parts.details(canvas, sampling.steps)
    start.append(parts.model_files(canvas, [*SDXL.files, *_REFINER.files.values()]))
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 300, start)]],
        [[Box("2 · Fuse", parts.GREEN, 320, [fuse])]],
        [
            [Box("3 · Prompt", parts.PURPLE, 280, words)],
            [Box("Details", parts.GREY, 280, details)],
        ],
        [[Box("4 · Image", parts.GOLD, 360, image)]],
    )
    return canvas.saved("0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d7812")


_ENCODED = (
    ("positive", "prompt", "fuse", "Prompt, base"),
    ("negative", "avoided", "fuse", "Avoid, base"),
    ("positive2", "prompt", "refiner", "Prompt, refiner"),
    ("negative2", "avoided", "refiner", "Avoid, refiner"),
)
"""Name, text, whose text encoder, title: the refiner has an encoder of its own."""


def wan(host: HostNodes) -> Json:
    """Wan 2.2 text to video, one pair of LoRAs for both models."""
    return _wan(host, ("pair", "pair"), _WAN_NOTE.format(plural="", files=_ONE_PAIR), "k-lora-wan", "2201")


def wan_pairs(host: HostNodes) -> Json:
    """Wan 2.2 text to video, a pair of LoRAs for each model."""
    note = _WAN_NOTE.format(plural=", twice", files=_TWO_PAIRS)
    return _wan(host, ("pair1", "pair2"), note, "k-lora-wan-pairs", "2202")


def _wan(host: HostNodes, pairs: tuple[str, str], note: str, prefix: str, last: str) -> Json:
    canvas, sampling = Canvas(host), WAN.sampling
    read_me = parts.note(canvas, note)
    *models, words, vae = (parts.loader(canvas, loader) for loader in WAN.loaders)
    which = ("",) if pairs[0] == pairs[1] else _WHICH
    loras = [
        parts.pair(canvas, WAN, noise, name) for noise, name in zip(which, dict.fromkeys(pairs), strict=True)
    ]
    high, high_shift = _fused(canvas, "high", "model.MODEL", pairs[0], "High noise")
    low, low_shift = _fused(canvas, "low", "low.MODEL", pairs[1], "Low noise")
    size = {"width": WAN.size, "height": WAN.size, "length": 81, "batch_size": 1}
    image = [
        parts.prompt(canvas, WAN.prompt, "clip.CLIP", 102),
        canvas.node(
            "negative", "CLIPTextEncode", (280, 88), {"text": WAN.negative}, title="Avoid", collapsed=True,
            clip="clip.CLIP",
        ),
        canvas.node("size", WAN.latent, (280, 130), size, title="Size and length", collapsed=True),
    ]  # fmt: skip
    numbers = [parts.closed(each) for each in _numbers(canvas, sampling, "Low noise from", _TO_LOW)]
    samplers = _samplers(canvas, sampling, "highshift.MODEL", "lowshift.MODEL", "Sample, high", "Sample, low")
    # Beside what they sample: wires to them from the right would cross both Fuse nodes.
    image += [*numbers, high_shift, low_shift, *samplers]
    image.append(parts.decode(canvas, WAN.vae, latent="second"))
    image.append(
        canvas.node(
            "video", "CreateVideo", (280, 102), {"fps": 16.0}, title="16 frames a second",
            collapsed=True, images="decode.IMAGE",
        )
    )  # fmt: skip
    image.append(
        canvas.node(
            "save", "SaveVideo", (380, FILL), {"filename_prefix": f"video/{prefix}"},
            title="Fused video", video="video.VIDEO",
        )
    )  # fmt: skip
    start = [read_me, *models, words, vae, parts.model_files(canvas, WAN.files)]
    lay_out(
        canvas,
        [[Box("1 · Your files", parts.BLUE, 290, start)]],
        [[Box("2 · Fuse, high noise", parts.GREEN, 300, [loras[0], *high])]],
        [[Box("3 · Fuse, low noise", parts.GREEN, 300, [*loras[1:], *low])]],
        [[Box("4 · Prompt and video", parts.GOLD, 380, image)]],
    )
    return canvas.saved(f"0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d{last}")


_WHICH = ("high noise", "low noise")


def _fused(canvas: Canvas, name: str, model: str, pair: str, title: str) -> tuple[list[Json], Json]:
    """One model fused, with its report; and its shift as ComfyUI's own template sets it."""
    fuse = parts.fuse(canvas, name=f"{name}fuse", model=model, clip="", pair=pair)
    fuse["title"] = f"K-LoRA Fuse: {title.lower()}"
    report = canvas.node(
        f"{name}report", "PreviewAny", (580, 690), title=f"Report, {title.lower()}", collapsed=True,
        source=f"{name}fuse.report",
    )  # fmt: skip
    shift = canvas.node(
        f"{name}shift", "ModelSamplingSD3", (300, 58), {"shift": WAN.shift}, title=f"Shift {WAN.shift:g}",
        collapsed=True, model=f"{name}fuse.model",
    )  # fmt: skip
    return [fuse, report], shift


def _text(canvas: Canvas, name: str, text: str, title: str, height: int) -> Json:
    return canvas.node(name, "PrimitiveStringMultiline", (280, height), {"value": text}, title=title)


def _encoded(canvas: Canvas, name: str, text: str, clip: str, title: str) -> Json:
    encoder = "fuse.clip" if clip == "fuse" else f"{clip}.CLIP"
    return canvas.node(
        name, "CLIPTextEncode", (280, 88), {"text": ""}, title=title, collapsed=True,
        clip=encoder, text=f"{text}.STRING",
    )  # fmt: skip


def _numbers(canvas: Canvas, sampling: Sampling, title: str, at: int) -> list[Json]:
    """Seed, steps, and the step at which the second part takes over."""
    return [
        parts.number(canvas, "seed", parts.SEED, "Seed"),
        parts.number(canvas, "steps", sampling.steps, "Steps"),
        parts.number(canvas, "switch", at, title),
    ]


def _samplers(
    canvas: Canvas, sampling: Sampling, first: str, second: str, title: str, title2: str
) -> list[Json]:
    """One run in two parts: the first leaves its noise, the second adds none."""
    same = {"cfg": sampling.cfg, "sampler_name": sampling.sampler, "scheduler": sampling.scheduler}
    wires = {"noise_seed": "seed.INT", "steps": "steps.INT"}
    refines = "refiner" in second
    positive2, negative2 = ("positive2", "negative2") if refines else ("positive", "negative")
    return [
        canvas.node(
            "first", "KSamplerAdvanced", (300, 334),
            same | {"add_noise": "enable", "return_with_leftover_noise": "enable"},
            title=title, collapsed=True, model=first, positive="positive.CONDITIONING",
            negative="negative.CONDITIONING", latent_image="size.LATENT", end_at_step="switch.INT", **wires,
        ),
        canvas.node(
            "second", "KSamplerAdvanced", (300, 334),
            same | {"add_noise": "disable", "return_with_leftover_noise": "disable"},
            title=title2, collapsed=True, model=second, positive=f"{positive2}.CONDITIONING",
            negative=f"{negative2}.CONDITIONING", latent_image="first.LATENT", start_at_step="switch.INT",
            **wires,
        ),
    ]  # fmt: skip
