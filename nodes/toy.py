"""The Toy Model Prompt node: words for the model of the template Try it now, which has no text encoder."""

from __future__ import annotations

from comfy_api.latest import io

from ..klora_core.toy import LENGTH, encode
from .inputs import checked


class KLoRAToyWords(io.ComfyNode):
    """Words to CONDITIONING, as the toy model was taught them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRAToyWords",
            display_name="Toy Model Prompt",
            category="K-LoRA/try it now",
            description="The prompt of the toy model in the template Try it now. Other models need CLIP Text "
            "Encode.",
            search_aliases=["klora", "try it now", "small world"],
            inputs=[
                io.String.Input(
                    "words",
                    default="",
                    tooltip=f"Up to {LENGTH} words: a style and a thing, as in flat polar bear. A LoRA's "
                    "trigger word stands in for what it teaches. Empty: nothing to avoid.",
                )
            ],
            outputs=[io.Conditioning.Output(tooltip="For the sampler of the toy model.")],
        )

    @classmethod
    @checked
    def execute(cls, words: str) -> io.NodeOutput:
        context, pooled = encode(words)
        return io.NodeOutput([[context, {"pooled_output": pooled}]])
