"""A node in the place of a text encoder's loader, and the host's own encoders, made small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import comfy.sd
import comfy.supported_models_base
import torch
from comfy_api.latest import io


class TextLoader(io.ComfyNode):
    """Takes a loader's inputs and ignores the files."""

    NODE_ID: ClassVar[str]
    INPUTS: ClassVar[tuple[str, ...]] = ("clip_name", "type")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=cls.NODE_ID,
            category="testing",
            inputs=[*map(io.String.Input, cls.INPUTS), io.String.Input("device", optional=True)],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def clip(cls) -> Any:
        """What it hands out."""
        raise NotImplementedError

    @classmethod
    def execute(cls, **_: str) -> io.NodeOutput:
        return io.NodeOutput(cls.clip())


def small_clip(tokenizer: type, encoder: type, small: Mapping[str, Any]) -> Any:
    """The real tokenizer and the text encoder's own class, of ``small``'s sizes, with random weights."""
    target = comfy.supported_models_base.ClipTarget(tokenizer, encoder)
    clip = comfy.sd.CLIP(target, model_options={**small, "dtype": torch.float32})
    rng = torch.Generator().manual_seed(3)
    for name, weight in clip.cond_stage_model.named_parameters():
        if weight.ndim < 2:
            weight.data.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            weight.data.normal_(0.0, 0.05, generator=rng)
    return clip
