"""FLUX's two text encoders: T5-XXL has 4.7 B parameters, which the host fixes and no file tells."""

from __future__ import annotations

from typing import Any

from comfy.text_encoders.flux import FluxTokenizer, flux_clip

from .text import TextLoader, small_clip

SMALL = {
    "clip_l_model_config": {"num_hidden_layers": 2},
    "t5xxl_model_config": {"d_model": 256, "d_ff": 512, "d_kv": 64, "num_heads": 4, "num_layers": 1},
}


class TinyFluxText(TextLoader):
    """In the place of DualCLIPLoader."""

    NODE_ID = "KLoRATestTinyFluxText"
    INPUTS = ("clip_name1", "clip_name2", "type")

    @classmethod
    def clip(cls) -> Any:
        return small_clip(FluxTokenizer, flux_clip(), SMALL)
