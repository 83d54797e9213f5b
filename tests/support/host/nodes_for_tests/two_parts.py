"""Models in two parts: text encoders of Wan and of SDXL's refiner, which the host fixes at gigabytes.

Words make numbers of the right shape. The models are the real thing.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import comfy.sd
import folder_paths
import torch
from comfy_api.latest import io

from .text import TextLoader


@dataclass(frozen=True)
class Words:
    """Stands for a CLIP: a text's own random numbers, [1, tokens, width] and pooled [1, pooled]."""

    tokens: int
    width: int
    pooled: int = 0

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, text: str) -> list:
        rng = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        more = {"pooled_output": torch.randn(1, self.pooled, generator=rng)} if self.pooled else {}
        return [[torch.randn(1, self.tokens, self.width, generator=rng), more]]


class TinyWanText(TextLoader):
    """In the place of CLIPLoader."""

    NODE_ID = "KLoRATestTinyWanText"

    @classmethod
    def clip(cls) -> Any:
        return Words(16, 4096)


class TinyRefiner(io.ComfyNode):
    """Takes CheckpointLoaderSimple's input: the refiner by the host's own loader, and words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRATestTinyRefiner",
            category="testing",
            inputs=[io.String.Input("ckpt_name")],
            outputs=[io.Model.Output(), io.Clip.Output()],
        )

    @classmethod
    def execute(cls, ckpt_name: str) -> io.NodeOutput:
        path = folder_paths.get_full_path_or_raise("diffusion_models", ckpt_name)
        return io.NodeOutput(comfy.sd.load_diffusion_model(path), Words(77, 1280, 1280))
