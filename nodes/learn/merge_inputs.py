"""What Train a Merge is sent beside the inputs of each way."""

from __future__ import annotations

from comfy_api.latest import io

from .. import dials
from ..composing import set_input
from .ways import OWN, WAYS


def inputs() -> list[io.Input]:
    """All of them, the model first."""
    return [
        io.Model.Input(
            "model",
            tooltip="The base model, straight from its loader: it is loaded once more to learn on.",
        ),
        io.Clip.Input("clip", tooltip="Its text encoder."),
        set_input(),
        io.DynamicCombo.Input(
            "method",
            options=[io.DynamicCombo.Option(way.label, OWN[way.name]) for way in WAYS],
            tooltip="taught: by pictures of the combination (recommended). ZipLoRA: each LoRA keeps what "
            "it does alone. calibrated: SSR-Merge, no training, one pass over each LoRA's own pictures. MoLE "
            "gate: the LoRAs stay as they are, and a gate learns to weigh them by the picture. Arrow: such a "
            "gate without training. Of these taught alone is ahead of the best plain sum in our "
            "measurements.",
        ),
        dials.text(
            "prompt",
            "For taught: what the pictures of the combination show, with the trigger words of all LoRAs. "
            "Empty: these alone.",
            optional=True,
        ),
        io.Image.Input(
            "images",
            optional=True,
            tooltip="For taught: pictures of the combination that you like, four are enough. Needs vae.",
        ),
        io.Vae.Input("vae", optional=True, tooltip="For images."),
        io.Latent.Input("latents", optional=True, tooltip="For taught: the same as latents."),
        dials.text(
            "prompts",
            "For all but taught and Arrow: what each LoRA is asked for alone, a line for each LoRA in the "
            "order of the set, several prompts in a line with | between them. Empty: its trigger words.",
            optional=True,
        ),
        dials.whole(
            "pictures",
            8,
            (1, 256),
            "For all but taught and Arrow: how many pictures each LoRA makes alone.",
            optional=True,
        ),
        dials.seed(0xFFFFFFFF, "Of the pictures, the noise and their order.", optional=True),
        *_sampling(),
    ]


def _sampling() -> list[io.Input]:
    """How a LoRA's own pictures are made."""
    size = "Of the pictures that a LoRA makes alone: the size that your model was made for, 512 for SD1.5."
    steps = "The sampler's steps for the pictures that a LoRA makes alone."
    cfg = "The guidance for these pictures. 1 for FLUX and for turbo models."
    return [
        *dials.sides(size, advanced=True),
        dials.whole("sampling_steps", 20, (1, 1000), steps, advanced=True),
        dials.number("cfg", 4.0, (1.0, 30.0), 0.1, cfg, advanced=True),
    ]
