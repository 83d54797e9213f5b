"""What Pick and Learn is sent."""

from __future__ import annotations

import comfy.samplers
from comfy_api.latest import io

from ... import dials
from ...composing import set_input

SAMPLERS, SCHEDULERS = comfy.samplers.KSampler.SAMPLERS, comfy.samplers.KSampler.SCHEDULERS


def inputs() -> list[io.Input]:
    """All of them, the model first."""
    return [
        io.Model.Input("model", tooltip="The base model, straight from its loader."),
        io.Clip.Input("clip", tooltip="Its text encoder."),
        io.Vae.Input("vae", tooltip="Its VAE."),
        set_input(),
        # Those that may be left out come last on the page, too.
        dials.text(
            "prompt", "What the pictures show, with the trigger words of all LoRAs. Empty: these alone."
        ),
        dials.text("negative", "What the pictures shall not show."),
        *_sampling(),
        dials.whole(
            "pictures",
            4,
            (1, 64),
            "Pictures a rule, each from a noise of its own. From round 2 on twice as many.",
        ),
        dials.text(
            "rules",
            "Which rules make pictures, one a line: sum 0.7, sum 1/0.6, K-LoRA s -0.3, K-LoRA s* 0, NP-LoRA "
            "0.5, Arrow N, calibrated, or another method of Compose LoRAs or Merge LoRAs by its name. Empty: "
            "thirteen of these for a subject and a style.",
            optional=True,
        ),
        dials.text(
            "picks",
            "The pictures you picked, a line each: round, rule, seed, place. more: learn, and show the next "
            "round. take: the result is what you liked more. This node writes it when you click.",
            advanced=True,
        ),
        io.Image.Input(
            "liked",
            optional=True,
            tooltip="Pictures of the combination that you have already: they count as picked.",
        ),
        io.String.Input(
            "part",
            default="all",
            optional=True,
            advanced=True,
            tooltip="Which part of the sheet to make here, such as 2 of 4, where several servers share a "
            "round.",
        ),
        dials.whole(
            "learning_steps",
            200,
            (1, 100_000),
            "For four pictures and more; fewer pictures are learned in fewer. More is not better.",
            advanced=True,
        ),
        dials.number("rate", 0.03, (0.0, 1.0), 0.001, "How far each step of learning goes.", advanced=True),
    ]


def _sampling() -> list[io.Input]:
    """How the pictures are made: as by KSampler."""
    return [
        *dials.sides("The size that your model was made for: 512 for SD1.5."),
        dials.whole("steps", 20, (1, 1000), "The sampler's steps for each picture."),
        dials.number("cfg", 5.0, (0.0, 100.0), 0.1, "The guidance. 1 for turbo models."),
        io.Combo.Input("sampler", options=SAMPLERS, default="euler", tooltip="As in KSampler."),
        io.Combo.Input("scheduler", options=SCHEDULERS, default="normal", tooltip="As in KSampler."),
        dials.seed(
            0xFFFFFFFFFFFFFFFF,
            "Of the first noise; the others follow it. The same seed shows the same pictures.",
        ),
    ]
