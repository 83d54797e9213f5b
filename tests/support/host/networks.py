"""Networks of the host in its own classes, a block or two each, on the meta device: names and shapes."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.supported_models

from tools.tiny.architectures import FLUX, SD15, SDXL

_FLUX = FLUX | {"hidden_size": 256, "num_heads": 2, "depth": 2, "depth_single_blocks": 3}
_COSMOS = {
    "max_img_h": 240,
    "max_img_w": 240,
    "max_frames": 128,
    "in_channels": 16,
    "out_channels": 16,
    "patch_spatial": 2,
    "patch_temporal": 1,
    "model_channels": 128,
    "num_blocks": 2,
    "num_heads": 2,
    "pos_emb_cls": "rope3d",
    "use_adaln_lora": True,
    "crossattn_emb_channels": 1024,
}
_HUNYUAN = {k: v for k, v in _FLUX.items() if k != "txt_ids_dims"} | {
    "image_model": "hunyuan_video",
    "patch_size": [1, 2, 2],
    "byt5": False,
    "meanflow": False,
    "meanflow_sum": False,
    "use_cond_type_embedding": False,
    "vision_in_dim": None,
}
_WAN = {"dim": 256, "ffn_dim": 512, "num_heads": 2, "num_layers": 2, "text_dim": 64}
_COGVIDEOX = {
    "num_attention_heads": 2,
    "attention_head_dim": 64,
    "num_layers": 2,
    "time_embed_dim": 64,
    "text_embed_dim": 96,
    "use_rotary_positional_embeddings": True,
}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "sd15": ("SD15", SD15 | {"model_channels": 32}),
    "sdxl": ("SDXL", SDXL | {"model_channels": 64}),
    "sd35": (
        "SD3",
        {
            "in_channels": 16,
            "out_channels": 16,
            "patch_size": 2,
            "depth": 24,
            "input_size": None,
            "adm_in_channels": 2048,
            "context_embedder_config": {
                "target": "torch.nn.Linear",
                "params": {"in_features": 4096, "out_features": 1536},
            },
            "num_patches": 64,
            "pos_embed_max_size": 8,
            "qk_norm": "rms",
            "x_block_self_attn_layers": [0, 1],
        },
    ),
    "pixart": ("PixArtSigma", {"hidden_size": 1152, "depth": 2, "num_heads": 2, "input_size": 32}),
    "auraflow": (
        "AuraFlow",
        {"dim": 128, "n_layers": 5, "n_double_layers": 2, "n_heads": 2, "global_conddim": 128, "max_seq": 16},
    ),
    "flux": ("Flux", _FLUX),
    "chroma": (
        "Chroma",
        {
            **{k: v for k, v in _FLUX.items() if k != "guidance_embed"},
            "image_model": "chroma",
            "in_dim": 64,
            "out_dim": 256,
            "hidden_dim": 128,
            "n_layers": 2,
        },
    ),
    "z_image": (
        "ZImage",
        {
            "in_channels": 16,
            "dim": 240,
            "n_layers": 3,
            "n_heads": 2,
            "n_kv_heads": 2,
            "multiple_of": 32,
            "ffn_dim_multiplier": 2.0,
            "qk_norm": True,
            "cap_feat_dim": 64,
            "axes_dims": [40, 40, 40],
            "z_image_modulation": True,
        },
    ),
    "krea2": (
        "Krea2",
        {"features": 256, "tdim": 64, "txtdim": 128, "heads": 2, "kvheads": 1, "layers": 2, "txtheads": 2}
        | {"txtkvheads": 2},
    ),
    "qwen_image": (
        "QwenImage",
        {"num_layers": 2, "attention_head_dim": 128, "num_attention_heads": 2, "joint_attention_dim": 64},
    ),
    "hunyuan_video": ("HunyuanVideo", _HUNYUAN),
    "hunyuan_video15": (
        "HunyuanVideo15",
        _HUNYUAN
        | {"vision_in_dim": 96, "byt5": True, "vec_in_dim": None, "depth_single_blocks": 0}
        | {"use_cond_type_embedding": True, "meanflow_sum": True, "guidance_embed": False},
    ),
    "hunyuan_image": (
        "HunyuanImage21",
        _HUNYUAN
        | {"byt5": True, "vec_in_dim": None, "patch_size": [1, 1], "axes_dim": [64, 64], "meanflow": True},
    ),
    "flux2": (
        "Flux2",
        _FLUX
        | {"image_model": "flux2", "qkv_bias": False, "vec_in_dim": None, "ops_bias": False}
        | {"global_modulation": True, "mlp_silu_act": True, "axes_dim": [32, 32, 32, 32]}
        | {"txt_ids_dims": [3], "patch_size": 1},
    ),
    # Lumina 2's real width, which tells it from OmniGen 2; its queries are grouped.
    "lumina2": (
        "Lumina2",
        {"in_channels": 16, "dim": 2304, "n_layers": 2, "n_heads": 24, "n_kv_heads": 8, "multiple_of": 32}
        | {"ffn_dim_multiplier": 2.0, "qk_norm": True, "cap_feat_dim": 64, "axes_dims": [32, 32, 32]},
    ),
    # The width of 7B, which tells it from Cosmos Predict 2.
    "cosmos": (
        "CosmosT2V",
        _COSMOS
        | {"model_channels": 4096, "num_heads": 32}
        | {"extra_per_block_abs_pos_emb": True, "block_x_format": "THWBD", "affline_emb_norm": True}
        | {"adaln_lora_dim": 64, "rope_t_extrapolation_ratio": 2.0, "block_config": "FA-CA-MLP"}
        | {"extra_per_block_abs_pos_emb_type": "learnable"},
    ),
    "cogvideox": ("CogVideoX_T2V", _COGVIDEOX),
    "cogvideox15_i2v": (
        "CogVideoX_I2V",
        _COGVIDEOX | {"ofs_embed_dim": 64, "patch_size_t": 2, "patch_size": 2, "in_channels": 32},
    ),
    "hidream": (
        "HiDream",
        {"patch_size": 2, "in_channels": 16, "num_layers": 1, "num_single_layers": 1}
        | {"num_attention_heads": 2, "caption_channels": [64, 64], "llama_layers": [0, 1]},
    ),
    "ltxv": ("LTXV", {"num_layers": 2, "num_attention_heads": 2, "caption_channels": 64}),
    "ltxav": (
        "LTXAV",
        {"num_layers": 1, "num_attention_heads": 2, "audio_num_attention_heads": 2, "caption_channels": 64}
        | {"connector_num_attention_heads": 2},
    ),
    "mochi": (
        "GenmoMochi",
        {"depth": 2, "hidden_size_x": 3072, "hidden_size_y": 1536, "num_heads": 24, "in_channels": 12}
        | {"mlp_ratio_x": 4.0, "mlp_ratio_y": 4.0}
        | {"t5_feat_dim": 64, "rope_theta": 10000.0, "qk_norm": True, "qkv_bias": False, "out_bias": True}
        | {"attn_drop": 0.0},
    ),
    "omnigen2": (
        "Omnigen2",
        {"hidden_size": 240, "num_layers": 2, "num_attention_heads": 2, "num_kv_heads": 1},
    ),
    "kandinsky5": ("Kandinsky5", {"model_dim": 128, "ff_dim": 256, "num_visual_blocks": 2, "time_dim": 64}),
    "ernie": (
        "ErnieImage",
        {"hidden_size": 256, "num_attention_heads": 2, "num_layers": 2, "ffn_hidden_size": 512},
    ),
    "wan": ("WAN21_T2V", _WAN | {"model_type": "t2v"}),
    "wan_i2v": ("WAN21_I2V", _WAN | {"model_type": "i2v", "in_dim": 36}),
    "wan_vace": ("WAN21_Vace", _WAN | {"model_type": "vace", "vace_layers": 2, "vace_in_dim": 96}),
    "wan_animate": ("WAN22_Animate", _WAN | {"model_type": "animate", "in_dim": 36}),
    "cosmos_predict2": ("CosmosT2IPredict2", _COSMOS),
    "anima": ("Anima", _COSMOS),
    "hunyuan_dit": ("HunyuanDiT", {"hidden_size": 128, "depth": 2, "num_heads": 2}),
    "minimax_h3": (
        "MiniMaxH3",
        {"hidden_size": 128, "num_layers": 1, "token_refiner_num_layers": 1, "num_attention_heads": 2}
        | {"attention_head_dim": 64, "ffn_hidden_size": 128, "text_dim": 64, "time_embed_hidden_size": 64}
        | {"time_embed_dim": 64},
    ),
    "cascade": (
        "Stable_Cascade_C",
        {"c_hidden": [64, 64], "nhead": [2, 2], "blocks": [[1, 1], [1, 1]], "c_cond": 64},
    ),
}


def network(family: str) -> Any:
    """The host's model (its BaseModel) of a family."""
    kind, config = NETWORKS[family]
    settings = getattr(comfy.supported_models, kind)(dict(config))
    return settings.get_model({}, "", device="meta")
