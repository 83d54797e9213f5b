"""The Compose LoRAs node: a set of LoRAs and a method onto a model, chosen anew over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..klora_core.plan import OTHER_LAYERS
from ..klora_core.progress import MODES
from . import methods
from .composing import (
    OTHER_LAYERS_TOOLTIP,
    PROGRESS_TOOLTIP,
    Member,
    clip_input,
    compose,
    outputs,
    set_input,
)
from .dials import advanced
from .inputs import checked


class KLoRACompose(io.ComfyNode):
    """Compose any number of LoRAs over time, by a method of choice."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRACompose",
            display_name="Compose LoRAs",
            category="K-LoRA/compose",
            description="Puts any number of LoRAs to work on one model by a method of your choice: it says "
            "which of them works where and when. Nothing is trained.",
            search_aliases=[
                "klora",
                "lora switch",
                "lora composite",
                "multi lora",
                "cmlora",
                "b-lora",
                "blora",
                "arrow",
                "mole",
                "smora",
                "mixture of lora experts",
            ],
            has_intermediate_output=True,
            # As in K-LoRA Fuse.
            not_idempotent=True,
            inputs=[
                io.Model.Input("model", tooltip="The model to put the LoRAs on."),
                clip_input(),
                set_input(),
                io.DynamicCombo.Input(
                    "method",
                    options=methods.options(),
                    tooltip="K-LoRA: in each layer and step the subject or the style. LoRA Switch: one whole "
                    "LoRA at a time. LoRA Composite: one run of the model for each, their mean. CMLoRA: the "
                    "same, in turns one counts for more. B-LoRA: one block of SDXL each, or half of FLUX's "
                    "single blocks. Arrow: in each layer the picture itself weighs the LoRAs. MoLE: a "
                    "trained gate weighs them. As scheduled: each when, where and as strongly as its LoRA "
                    "Set says. NP-LoRA: both all the time, the subject kept out of what the style looks at.",
                ),
                advanced("other_layers", OTHER_LAYERS, OTHER_LAYERS_TOOLTIP),
                advanced("progress", MODES, PROGRESS_TOOLTIP),
            ],
            outputs=outputs("The model with the LoRAs at work.", "all"),
            hidden=[io.Hidden.unique_id],
            accept_all_inputs=True,
        )

    @classmethod
    @checked
    def execute(
        cls,
        model: Any,
        set: Sequence[Member],
        method: Any,
        clip: Any | None = None,
        other_layers: str = OTHER_LAYERS[0],
        progress: str = MODES[0],
    ) -> io.NodeOutput:
        node = cls.hidden.unique_id if cls.hidden else None
        return compose(model, clip, set, methods.of_value(method), other_layers, progress, node)
