"""The Toy Model Prompt node: words for the model of the templates Try it now, which has no text encoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import comfy.sd
import torch
from comfy_api.latest import io
from torch import Tensor

from ..klora_core.toy import LENGTH, condition, encode, vectors
from .inputs import checked


class _Words(torch.nn.Module):
    """What the host's CLIP holds: nothing is learned, a word is its own vector."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.dtypes = {torch.float32}

    def set_clip_options(self, options: Any) -> None:
        """There are none."""

    def reset_clip_options(self) -> None:
        """There are none."""

    def load_sd(self, weights: Any) -> tuple[list, list]:
        """There are none."""
        return [], []

    def encode_token_weights(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Context and pooled, as the toy model takes them."""
        return condition(tokens)


class _Tokens:
    def __init__(self, **_: Any) -> None: ...

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **_: Any) -> Tensor:
        """[1, LENGTH, 128]. Raises KLoraError where there are too many words."""
        return vectors(text)[None]


class _Target(NamedTuple):
    clip: type = _Words
    tokenizer: type = _Tokens
    params: dict = {}  # noqa: RUF012  the host copies it


class KLoRAToyWords(io.ComfyNode):
    """Words to CONDITIONING, as the toy model was taught them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRAToyWords",
            display_name="Toy Model Prompt",
            category="K-LoRA/try it now",
            description="The prompt of the toy model in the templates Try it now. Other models need CLIP "
            "Text Encode.",
            search_aliases=["klora", "try it now", "small world"],
            inputs=[
                io.String.Input(
                    "words",
                    default="",
                    tooltip=f"Up to {LENGTH} words: a style and a thing, as in flat polar bear. A LoRA's "
                    "trigger word stands in for what it teaches. Empty: nothing to avoid.",
                )
            ],
            outputs=[
                io.Conditioning.Output(tooltip="For the sampler of the toy model."),
                io.Clip.Output(
                    tooltip="Its words as a text encoder, for nodes that have prompts of their own, such as "
                    "Pick and Learn."
                ),
            ],
        )

    @classmethod
    @checked
    def execute(cls, words: str) -> io.NodeOutput:
        context, pooled = encode(words)
        return io.NodeOutput([[context, {"pooled_output": pooled}]], comfy.sd.CLIP(_Target()))
