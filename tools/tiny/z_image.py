"""A tiny Z-Image and the linears that a LoRA trains in it, in both spellings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .linears import Linear

# Attention heads are 128 wide. The host's loader accepts no width but 3840, which takes 0.9 B parameters: the
# tests load this one with a node of their own.
Z_IMAGE_DIT = {
    "patch_size": 2,
    "in_channels": 16,
    "dim": 256,
    "cap_feat_dim": 64,
    "n_layers": 4,
    "n_refiner_layers": 2,
    "qk_norm": True,
    "n_heads": 2,
    "n_kv_heads": 2,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
_WIDTH, _MLP = 256, 768


def shapes() -> Mapping[str, torch.Size]:
    """The shapes of its weights, by the host's own model class."""
    import comfy.ldm.lumina.model
    import comfy.ops

    config: dict[str, Any] = {**Z_IMAGE_DIT, "operations": comfy.ops.disable_weight_init}
    dit = comfy.ldm.lumina.model.NextDiT(**config, dtype=torch.bfloat16, device="meta")
    return {key: value.shape for key, value in dit.state_dict().items()}


def _feed_forward(at: str) -> list[Linear]:
    return [
        Linear(f"{at}.feed_forward.w1", _MLP, _WIDTH),
        Linear(f"{at}.feed_forward.w2", _WIDTH, _MLP),
        Linear(f"{at}.feed_forward.w3", _MLP, _WIDTH),
    ]


def fused_linears() -> tuple[Linear, ...]:
    """The main layers' attention, feed-forward and modulation linears, as the model itself names them."""
    out: list[Linear] = []
    for layer in range(Z_IMAGE_DIT["n_layers"]):
        at = f"layers.{layer}"
        out += [
            Linear(f"{at}.attention.qkv", 3 * _WIDTH, _WIDTH),
            Linear(f"{at}.attention.out", _WIDTH, _WIDTH),
            *_feed_forward(at),
            Linear(f"{at}.adaLN_modulation.0", 4 * _WIDTH, _WIDTH),
        ]
    return tuple(out)


def linears() -> tuple[Linear, ...]:
    """The same linears as diffusers names them, with q, k and v apart."""
    out: list[Linear] = []
    for layer in range(Z_IMAGE_DIT["n_layers"]):
        at = f"layers.{layer}"
        out += [Linear(f"{at}.attention.to_{part}", _WIDTH, _WIDTH) for part in ("q", "k", "v", "out.0")]
        out += _feed_forward(at)
        out.append(Linear(f"{at}.adaLN_modulation.0", 4 * _WIDTH, _WIDTH))
    return tuple(out)
