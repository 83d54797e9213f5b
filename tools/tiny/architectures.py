"""Settings of networks: SD1.5, SDXL and FLUX as published, the tiny ones by what differs. Needs no host."""

from __future__ import annotations

from typing import Any

_UNET: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "use_spatial_transformer": True,
    "legacy": False,
    "use_checkpoint": False,
}
SD15 = _UNET | {
    "adm_in_channels": None,
    "channel_mult": [1, 2, 4, 4],
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "use_linear_in_transformer": False,
    "context_dim": 768,
    "num_heads": 8,
}
_LATER = _UNET | {"num_classes": "sequential", "use_linear_in_transformer": True, "num_head_channels": 64}
SDXL = _LATER | {
    "adm_in_channels": 2816,
    "channel_mult": [1, 2, 4],
    "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "context_dim": 2048,
}
FLUX: dict[str, Any] = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 768,
    "context_in_dim": 4096,
    "hidden_size": 3072,
    "mlp_ratio": 4.0,
    "num_heads": 24,
    "depth": 19,
    "depth_single_blocks": 38,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}

# The loaders tell SD1.5 by model_channels, context_dim and convolutional projections; the rest is free.
SD15_UNET = SD15 | {
    "channel_mult": [1, 1],
    "num_res_blocks": [1, 1],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
}

# The loaders tell SDXL by the transformer depths of its input side, context_dim and adm_in_channels.
SDXL_UNET = SDXL | {
    "channel_mult": [1, 1, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1],
}

# The loaders tell SDXL's refiner by model_channels, context_dim, adm_in_channels and its input side's depths.
REFINER_UNET = _LATER | {
    "model_channels": 384,
    "adm_in_channels": 2560,
    "channel_mult": [1, 1, 1, 1],
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [0, 0, 4, 4, 4, 4, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "context_dim": 1280,
}

# FLUX's depth and hidden size are read off the file; heads are 128 wide.
FLUX_DIT = FLUX | {
    "context_in_dim": 256,
    "hidden_size": 256,
    "num_heads": 2,
    "depth": 2,
    "depth_single_blocks": 4,
}

# Wan's width, depth and feed-forward are read off the file; heads are 128 wide, text is 4096.
WAN_DIT = {"model_type": "t2v", "dim": 256, "ffn_dim": 512, "num_heads": 2, "num_layers": 2, "in_dim": 16}
