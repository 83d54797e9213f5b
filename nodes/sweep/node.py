"""The node: a model, two LoRAs and a list in; a model for each value of the list out, and its label."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...klora_core.plan import OTHER_LAYERS
from ...klora_core.progress import MODES
from .. import dials
from ..composing import OTHER_LAYERS_TOOLTIP, PROGRESS_TOOLTIP, KLoraPlan, composed, pair, pair_inputs
from ..inputs import checked
from ..model import NOT_SAVED
from . import ways


class KLoRASweep(io.ComfyNode):
    """Fuse a subject and a style LoRA once for each of several values."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRASweep",
            display_name="K-LoRA Sweep",
            category="K-LoRA",
            description="One fused model for each value of a list: a sampler behind it makes an image of "
            "each, and labels says which is which. The LoRAs are compared once.",
            search_aliases=["klora", "xy plot", "grid", "sheet", "compare balance"],
            inputs=[
                *pair_inputs(),
                io.DynamicCombo.Input(
                    "over",
                    options=ways.options(),
                    tooltip="What differs from model to model. All else is as K-LoRA Fuse has it by default.",
                ),
                dials.advanced("other_layers", OTHER_LAYERS, OTHER_LAYERS_TOOLTIP),
                dials.advanced("progress", MODES, PROGRESS_TOOLTIP),
            ],
            outputs=[
                io.Model.Output(
                    "models",
                    is_output_list=True,
                    tooltip="A model for each value, in the order of the list: a sampler runs once for each.",
                ),
                io.Clip.Output(
                    "clips",
                    is_output_list=True,
                    tooltip="The text encoder with both LoRAs' text parts; where strengths differ, one each.",
                ),
                io.String.Output(
                    "labels", is_output_list=True, tooltip="What each model is, for Draw Text Overlay."
                ),
                KLoraPlan.Output(
                    "plans",
                    is_output_list=True,
                    tooltip="What was decided, for K-LoRA Selection Map: a map each.",
                ),
                io.String.Output("report", tooltip="The decisions in words, model by model."),
            ],
            accept_all_inputs=True,
        )

    @classmethod
    @checked
    def execute(
        cls,
        model: Any,
        subject: dict,
        style: dict,
        over: Any,
        clip: Any | None = None,
        other_layers: str = OTHER_LAYERS[0],
        progress: str = MODES[0],
    ) -> io.NodeOutput:
        each_way = ways.of_value(over)
        done = []
        for way in each_way:
            members = pair(subject, style, way.strengths)
            done.append(composed(model, clip, members, way.make, other_layers, progress))
        # A prompt is encoded once for all models that share their text encoder.
        same_text = len({way.strengths for way in each_way}) == 1
        told = [f"{way.label}\n\n{one.report}" for way, one in zip(each_way, done, strict=True)]
        return io.NodeOutput(
            [one.model for one in done],
            [one.clip for one in (done[:1] if same_text else done)],
            [way.label for way in each_way],
            [one.plan for one in done],
            "\n\n".join([*told, NOT_SAVED]),
        )
