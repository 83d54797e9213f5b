"""What Train a Merge is sent: its inputs, and those of each way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ...klora_core.train import SIDES
from ..composing import LoraSet
from ..dials import advanced
from .merging import WAYS


def _steps(default: int) -> io.Int.Input:
    return io.Int.Input(
        "steps",
        default=default,
        min=1,
        max=100000,
        optional=True,
        tooltip="More is not better: the numbers then know the pictures by heart.",
    )


def _rate(default: float) -> io.Float.Input:
    return io.Float.Input(
        "rate",
        default=default,
        min=0.0,
        max=1.0,
        step=0.001,
        optional=True,
        tooltip="How far each step goes.",
    )


OWN: Mapping[str, list[io.Input]] = {
    "taught": [
        advanced(
            "learn",
            (SIDES[-1], *SIDES[:-1]),
            "A number for each column of the LoRAs' down factors, for each row of their up factors, or both.",
        ),
        _steps(200),
        _rate(0.03),
    ],
    "ziplora": [
        _steps(100),
        _rate(0.01),
        io.Float.Input(
            "overlap",
            default=0.01,
            min=0.0,
            max=10.0,
            step=0.001,
            optional=True,
            tooltip="How much it costs where columns of two LoRAs are both on.",
        ),
    ],
    "calibrated": [],
}


def inputs() -> list[io.Input]:
    """All of them, the model first."""
    return [
        io.Model.Input(
            "model",
            tooltip="The base model, straight from its loader: it is loaded once more to learn on.",
        ),
        io.Clip.Input("clip", tooltip="Its text encoder."),
        LoraSet.Input("set", tooltip="The LoRAs, from LoRA Set, all made for this base model."),
        io.DynamicCombo.Input(
            "method",
            options=[io.DynamicCombo.Option(way.label, OWN[way.name]) for way in WAYS],
            tooltip="taught: by pictures of the combination (recommended). ZipLoRA: each LoRA keeps what "
            "it does alone; in our measurements behind the best plain sum. calibrated: SSR-Merge, no "
            "training, one pass over each LoRA's own pictures.",
        ),
        io.String.Input(
            "prompt",
            default="",
            multiline=True,
            optional=True,
            tooltip="For taught: what the pictures of the combination show, with the trigger words of all "
            "LoRAs. Empty: these alone.",
        ),
        io.Image.Input(
            "images",
            optional=True,
            tooltip="For taught: pictures of the combination that you like, four are enough. Needs vae.",
        ),
        io.Vae.Input("vae", optional=True, tooltip="For images."),
        io.Latent.Input("latents", optional=True, tooltip="For taught: the same as latents."),
        io.String.Input(
            "prompts",
            default="",
            multiline=True,
            optional=True,
            tooltip="For the others: what each LoRA is asked for alone, a line for each LoRA in the order of "
            "the set, several prompts in a line with | between them. Empty: its trigger words.",
        ),
        io.Int.Input(
            "pictures",
            default=8,
            min=1,
            max=256,
            optional=True,
            tooltip="For the others: how many pictures each LoRA makes alone.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFFFFFF,
            control_after_generate=False,
            optional=True,
            tooltip="Of the pictures, the noise and their order.",
        ),
        *_sampling(),
    ]


def _sampling() -> list[io.Input]:
    """How a LoRA's own pictures are made."""
    size: dict[str, Any] = {
        "default": 1024,
        "min": 16,
        "max": 4096,
        "step": 8,
        "optional": True,
        "advanced": True,
    }
    said = "Of the pictures that a LoRA makes alone: the size that your model was made for, 512 for SD1.5."
    return [
        io.Int.Input("width", tooltip=said, **size),
        io.Int.Input("height", tooltip=said, **size),
        io.Int.Input(
            "sampling_steps",
            default=20,
            min=1,
            max=1000,
            optional=True,
            advanced=True,
            tooltip="The sampler's steps for the pictures that a LoRA makes alone.",
        ),
        io.Float.Input(
            "cfg",
            default=4.0,
            min=1.0,
            max=30.0,
            step=0.1,
            optional=True,
            advanced=True,
            tooltip="The guidance for these pictures. 1 for FLUX and for turbo models.",
        ),
    ]
