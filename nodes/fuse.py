"""The K-LoRA Fuse node: two LoRAs and a model in, the model that chooses between them out."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..klora_core.deltas import LAYERS
from ..klora_core.methods.klora import DEFAULT_OUTSIDE, GAMMA_MODES, LOSERS, SCORES
from ..klora_core.plan import OTHER_LAYERS
from ..klora_core.progress import MODES
from . import dials
from .composing import OTHER_LAYERS_TOOLTIP, PROGRESS_TOOLTIP, compose, outputs, pair, pair_inputs
from .inputs import checked


def _strength(role: str) -> io.Float.Input:
    return dials.strength(
        f"{role}_strength",
        f"Strength of the {role} LoRA where it is used. It does not change who wins a layer: "
        "leave it at 1 and use balance.",
    )


class KLoRAFuse(io.ComfyNode):
    """Fuse a subject and a style LoRA by K-LoRA."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRAFuse",
            display_name="K-LoRA Fuse",
            category="K-LoRA",
            description="Lets each layer use either the subject or the style LoRA, step by step: "
            "the subject early, the style late. No training, no strength fiddling.",
            # The page finds whole phrases: whoever types two words means one of these.
            search_aliases=[
                "klora",
                "two loras",
                "lora fusion",
                "fuse loras",
                "merge loras",
                "combine loras",
                "mix loras",
                "blend loras",
                "subject style",
                "style lora",
            ],
            # The page gets the plan again when the result comes from the host's cache.
            has_intermediate_output=True,
            # A result says whose it is: the host would take it for another node of the same inputs, too.
            not_idempotent=True,
            # Another order needs a line in web/js/page/old_orders.js: saved workflows hold values by place.
            inputs=[
                *pair_inputs(),
                dials.balance(),
                dials.schedule(static=True),
                _strength("subject"),
                _strength("style"),
                dials.gamma(),
                dials.layers(),
                dials.score(),
                dials.loser(),
                dials.outside(),
                dials.advanced("other_layers", OTHER_LAYERS, OTHER_LAYERS_TOOLTIP),
                dials.advanced("progress", MODES, PROGRESS_TOOLTIP),
            ],
            outputs=outputs("The model with both LoRAs fused in.", "both"),
            hidden=[io.Hidden.unique_id],
            accept_all_inputs=True,
        )

    @classmethod
    @checked
    def execute(
        cls,
        model: Any,
        subject: dict,
        style: dict,
        subject_strength: float,
        style_strength: float,
        balance: float,
        schedule: Any,
        clip: Any | None = None,
        gamma: str = GAMMA_MODES[0],
        layers: str = LAYERS[0],
        other_layers: str = OTHER_LAYERS[0],
        progress: str = MODES[0],
        score: str = SCORES[0],
        loser: str = LOSERS[0],
        outside: float = DEFAULT_OUTSIDE,
    ) -> io.NodeOutput:
        members = pair(subject, style, (subject_strength, style_strength))
        make = dials.make_klora(
            schedule,
            True,
            balance=balance,
            gamma=gamma,
            layers=layers,
            score=score,
            loser=loser,
            outside=outside,
        )
        node = cls.hidden.unique_id if cls.hidden else None
        return compose(model, clip, members, make, other_layers, progress, node)
