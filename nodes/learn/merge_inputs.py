"""What Train a Merge is sent beside the inputs of each way."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..composing import LoraSet
from .ways import OWN, WAYS


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
            "training, one pass over each LoRA's own pictures. MoLE gate: the LoRAs stay as they are, and a "
            "gate learns to weigh them by the picture; behind the best plain sum too. Arrow: such a gate "
            "without training.",
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
            tooltip="For all but taught and Arrow: what each LoRA is asked for alone, a line for each LoRA "
            "in the order of the set, several prompts in a line with | between them. Empty: its "
            "trigger words.",
        ),
        io.Int.Input(
            "pictures",
            default=8,
            min=1,
            max=256,
            optional=True,
            tooltip="For all but taught and Arrow: how many pictures each LoRA makes alone.",
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
