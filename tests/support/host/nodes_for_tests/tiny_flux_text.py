"""A custom node for tests: FLUX's two text encoders, shrunk to fit a test machine.

T5-XXL's size is fixed by the host (4.7 B parameters) and can't be told from a file, so the shipped FLUX
workflow is executed with this node in the place of DualCLIPLoader. Everything else in it is the real thing.
"""

from __future__ import annotations

from typing import Any

import comfy.sd
import comfy.supported_models_base
import comfy.text_encoders.flux
import torch
from comfy_api.latest import ComfyExtension, io

SMALL = {
    "clip_l_model_config": {"num_hidden_layers": 2},
    "t5xxl_model_config": {"d_model": 256, "d_ff": 512, "d_kv": 64, "num_heads": 4, "num_layers": 1},
}


def _small_clip() -> Any:
    target = comfy.supported_models_base.ClipTarget(
        comfy.text_encoders.flux.FluxTokenizer, comfy.text_encoders.flux.flux_clip()
    )
    clip = comfy.sd.CLIP(target, model_options={**SMALL, "dtype": torch.float32})
    rng = torch.Generator().manual_seed(3)
    for name, weight in clip.cond_stage_model.named_parameters():
        if weight.ndim < 2:
            weight.data.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            weight.data.normal_(0.0, 0.05, generator=rng)
    return clip


class TinyFluxText(io.ComfyNode):
    """Takes DualCLIPLoader's inputs and ignores the files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [io.String.Input(name) for name in ("clip_name1", "clip_name2", "type")]
        return io.Schema(
            node_id="KLoRATestTinyFluxText",
            category="testing",
            inputs=[*names, io.String.Input("device", optional=True)],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls, **_: str) -> io.NodeOutput:
        return io.NodeOutput(_small_clip())


class _Extension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [TinyFluxText]


async def comfy_entrypoint() -> ComfyExtension:
    """The host's entry point."""
    return _Extension()
