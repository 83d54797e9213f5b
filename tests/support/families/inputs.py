"""What a tiny network of each family is sampled with: latents, context and the family's own conditioning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

TOKENS = 12


@dataclass(frozen=True)
class Inputs:
    """``context`` and ``pooled`` are widths; ``config`` replaces fields of the network's configuration.

    ``more`` are other conditioning entries, by name: a shape, or a value that is no tuple. ``size`` is the
    latent's height and width.
    """

    context: int
    pooled: int = 768
    config: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (8, 8)
    pooled_shape: tuple[int, ...] | None = None


_MASK = {"attention_mask": (1, TOKENS)}
FAMILIES: dict[str, Inputs] = {
    "sd15": Inputs(768),
    "sdxl": Inputs(
        2048,
        1280,
        {"transformer_depth": [0, 0, 1, 1, 2, 2], "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2]}
        | {"transformer_depth_middle": 2},
    ),
    "sd35": Inputs(
        4096,
        2048,
        {
            "depth": 2,
            "context_embedder_config": {
                "target": "torch.nn.Linear",
                "params": {"in_features": 4096, "out_features": 128},
            },
        },
    ),
    "pixart": Inputs(4096, size=(64, 64)),
    "auraflow": Inputs(2048),
    "flux": Inputs(4096),
    "chroma": Inputs(4096, config={"in_channels": 64, "out_channels": 64}),
    "z_image": Inputs(64, config={"dim": 256, "axes_dims": [64, 32, 32]}),
    "krea2": Inputs(12 * 128),
    "qwen_image": Inputs(64),
    "hunyuan_video": Inputs(4096),
    "hunyuan_video15": Inputs(4096, config={"in_channels": 65, "out_channels": 32}),
    "hunyuan_image": Inputs(4096, config={"in_channels": 64, "out_channels": 64}),
    "flux2": Inputs(4096, config={"in_channels": 128, "out_channels": 128}),
    "cogvideox": Inputs(96),
    "wan_vace": Inputs(64),
    "hidream": Inputs(
        64, 2048, {"axes_dims_rope": (64, 32, 32)}, more={"conditioning_llama3": (1, 2, TOKENS, 64)}
    ),
    "ltxv": Inputs(64, config={"cross_attention_dim": 128}, more=_MASK),
    "mochi": Inputs(
        64,
        config={
            "use_t5": True,
            "learn_sigma": False,
            "hidden_size_x": 512,
            "hidden_size_y": 256,
            "num_heads": 4,
            "mlp_ratio_x": 24.0,
        },
        more=_MASK,
    ),
    "omnigen2": Inputs(1024, config={"hidden_size": 192}, more=_MASK),
    "kandinsky5": Inputs(3584),
    "ernie": Inputs(3072),
    "wan": Inputs(64),
    "wan_i2v": Inputs(64),
    "cosmos_predict2": Inputs(1024),
    "anima": Inputs(1024),
    "hunyuan_dit": Inputs(
        1024,
        more={"attention_mask": (1, 77), "conditioning_mt5xl": (1, 256, 2048)}
        | {"attention_mask_mt5xl": (1, 256)},
    ),
    "minimax_h3": Inputs(64, config={"hidden_size": 256, "attention_head_dim": 128, "ffn_hidden_size": 256}),
    "cascade": Inputs(1280, pooled_shape=(1, 1, 1280)),
}

# The checkpoint of tools/tiny, which the host's loaders detect.
INPUTS = {**FAMILIES, "tiny_flux": Inputs(256)}


def conditioning(family: str, seed: int) -> list:
    """A prompt of a family, in the host's format: random numbers of the right shapes."""
    inputs, generator = INPUTS[family], torch.Generator().manual_seed(seed)

    def made(shape: tuple[int, ...], name: str = "") -> torch.Tensor:
        return (
            torch.ones(shape, dtype=torch.long) if "mask" in name else torch.randn(shape, generator=generator)
        )

    tokens = 77 if family == "hunyuan_dit" else TOKENS
    more = {
        name: made(value, name) if isinstance(value, tuple) else value for name, value in inputs.more.items()
    }
    pooled = made(inputs.pooled_shape or (1, inputs.pooled))
    return [[made((1, tokens, inputs.context)), {"pooled_output": pooled, **more}]]
