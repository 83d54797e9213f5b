"""The published builds of the host's families: the class of its settings, and their sizes."""

from __future__ import annotations

from typing import Any

from tests.support.host.networks import NETWORKS
from tools.tiny.architectures import FLUX, SD15, SDXL

Config = dict[str, Any]


def _of(family: str, **sizes: Any) -> tuple[str, Config]:
    """A family of the small networks in other sizes."""
    kind, config = NETWORKS[family]
    return kind, config | sizes


def _unet(
    kind: str, base: Config, down: list[int], up: list[int], middle: int, **more: Any
) -> tuple[str, Config]:
    depths = {"transformer_depth": down, "transformer_depth_output": up, "transformer_depth_middle": middle}
    return kind, base | depths | more


def _flux(double: int, single: int, **more: Any) -> Config:
    return FLUX | {"depth": double, "depth_single_blocks": single} | more


def _flux2(hidden: int, double: int, single: int, context: int) -> tuple[str, Config]:
    sizes = {
        "hidden_size": hidden,
        "num_heads": hidden // 128,
        "depth": double,
        "depth_single_blocks": single,
    }
    return _of("flux2", **sizes, mlp_ratio=3.0, context_in_dim=context, in_channels=128, out_channels=128)


def _hunyuan(family: str, hidden: int, double: int, single: int, **more: Any) -> tuple[str, Config]:
    sizes = {
        "hidden_size": hidden,
        "num_heads": hidden // 128,
        "depth": double,
        "depth_single_blocks": single,
    }
    return _of(family, **sizes, **more)


def _wan(family: str, dim: int, ffn: int, layers: int, **more: Any) -> tuple[str, Config]:
    return _of(family, dim=dim, ffn_dim=ffn, num_heads=dim // 128, num_layers=layers, text_dim=4096, **more)


_SMALL = {"channel_mult": [1, 2, 4], "num_res_blocks": [1, 1, 1]}
_SD2 = SD15 | {
    "use_linear_in_transformer": True,
    "context_dim": 1024,
    "num_head_channels": 64,
    "num_heads": -1,
}
_UPSCALER = _SD2 | {
    "model_channels": 256,
    "in_channels": 7,
    "channel_mult": [1, 2, 2, 4],
    "num_classes": 1000,
}
_OVER_TIME = {
    "extra_ff_mix_layer": True,
    "use_spatial_context": True,
    "merge_strategy": "learned_with_images",
    "merge_factor": 0.0,
    "video_kernel_size": [3, 1, 1],
    "use_temporal_resblock": True,
    "use_temporal_attention": True,
    "disable_temporal_crossattention": False,
}
_REFINER = SDXL | {
    "model_channels": 384,
    "adm_in_channels": 2560,
    "channel_mult": [1, 2, 4, 4],
    "num_res_blocks": [2] * 4,
    "context_dim": 1280,
}
_LUMINA = {"ffn_dim_multiplier": 4.0, "multiple_of": 256}
_Z_IMAGE = {"dim": 3840, "n_layers": 30, "n_heads": 30, "n_kv_heads": 30, "axes_dims": [32, 48, 48]} | {
    "ffn_dim_multiplier": 8 / 3,
    "cap_feat_dim": 2560,
    "multiple_of": 256,
}
_PIXART = {"hidden_size": 1152, "depth": 28, "num_heads": 16, "input_size": 128}
_HIDREAM = {
    "num_layers": 16,
    "num_single_layers": 32,
    "num_attention_heads": 20,
    "attention_head_dim": 128,
} | {
    "caption_channels": [4096, 4096],
    "text_emb_dim": 2048,
    "num_routed_experts": 4,
    "llama_layers": list(range(48)),
}
_NO_VECTOR = {"vec_in_dim": None, "guidance_embed": False}
_IMAGE = {"byt5": True, "in_channels": 64, "out_channels": 64, "context_in_dim": 3584}

BUILDS: dict[str, tuple[str, Config]] = {
    "sd15": ("SD15", SD15),
    "sd15 inpaint": ("SD15", SD15 | {"in_channels": 9}),
    "sd-xs": _unet("SD15", SD15, [0, 1, 1], [0, 0, 1, 1, 1, 1], -2, **_SMALL),
    "sd2": ("SD20", _SD2),
    "sd2 unclip": ("SD21UnclipH", _SD2 | {"num_classes": "sequential", "adm_in_channels": 2048}),
    "sd2-xs": _unet(
        "SD20", _SD2, [1, 1, 1], [1] * 6, -2, **_SMALL, disable_self_attentions=[True, False, False]
    ),
    "sd2 upscaler": _unet(
        *("SD_X4Upscaler", _UPSCALER, [0, 0, 1, 1, 1, 1, 1, 1], [0, 0, 0, *[1] * 9], 1),
        disable_self_attentions=[True, True, True, False],
    ),
    "svd": (
        "SVD_img2vid",
        _SD2 | _OVER_TIME | {"in_channels": 8, "num_classes": "sequential", "adm_in_channels": 768},
    ),
    "sdxl": ("SDXL", SDXL),
    "refiner": _unet(
        "SDXLRefiner", _REFINER, [0, 0, 4, 4, 4, 4, 0, 0], [0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0], 4
    ),
    "ssd-1b": _unet("SSD1B", SDXL, [0, 0, 2, 2, 4, 4], [0, 0, 0, 1, 1, 2, 10, 4, 4], -1),
    "vega": _unet("Segmind_Vega", SDXL, [0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 2, 2, 2], -1),
    "koala 700m": _unet("KOALA_700M", SDXL, [0, 2, 5], [0, 0, 2, 2, 5, 5], -2, **_SMALL),
    "koala 1b": _unet("KOALA_1B", SDXL, [0, 2, 6], [0, 0, 2, 2, 6, 6], 6, **_SMALL),
    "cascade": _of("cascade", c_cond=2048, c_hidden=[2048] * 2, nhead=[32] * 2, blocks=[[8, 24], [24, 8]]),
    "cascade lite": _of(
        "cascade", c_cond=1536, c_hidden=[1536] * 2, nhead=[24] * 2, blocks=[[4, 12], [12, 4]]
    ),
    "cascade b": (
        "Stable_Cascade_B",
        {"c_hidden": [320, 640, 1280, 1280], "nhead": [-1, -1, 20, 20], "stable_cascade_stage": "b"}
        | {"blocks": [[2, 6, 28, 6], [6, 28, 6, 2]], "block_repeat": [[1, 1, 1, 1], [3, 3, 2, 2]]},
    ),
    "sd3 medium": _of("sd35", x_block_self_attn_layers=[], qk_norm=None),
    "sd3.5 medium": _of("sd35", x_block_self_attn_layers=list(range(13))),
    "sd3.5 large": _of(
        "sd35",
        depth=38,
        x_block_self_attn_layers=[],
        context_embedder_config={
            "target": "torch.nn.Linear",
            "params": {"in_features": 4096, "out_features": 2432},
        },
    ),
    "auraflow": (
        "AuraFlow",
        {"dim": 3072, "n_layers": 36, "n_double_layers": 4, "n_heads": 12, "max_seq": 1024},
    ),
    "pixart sigma": ("PixArtSigma", _PIXART),
    "pixart alpha": ("PixArtAlpha", _PIXART | {"micro_condition": True}),
    "hunyuan dit": ("HunyuanDiT", {"hidden_size": 1408, "depth": 40, "num_heads": 16, "mlp_ratio": 4.3637}),
    "flux dev": ("Flux", FLUX),
    "flux fill": ("FluxInpaint", FLUX | {"in_channels": 96}),
    "flux schnell": ("FluxSchnell", FLUX | {"guidance_embed": False}),
    "chroma": _of(
        "chroma",
        **{"hidden_size": 3072, "num_heads": 24, "depth": 19, "depth_single_blocks": 38},
        **{"out_dim": 3072, "hidden_dim": 5120, "n_layers": 5},
    ),
    "longcat": ("LongCatImage", _flux(10, 20, **_NO_VECTOR, context_in_dim=3584)),
    "ovis": ("FluxSchnell", _flux(6, 27, **_NO_VECTOR, context_in_dim=2048, yak_mlp=True, txt_norm=True)),
    "flux.2 dev": _flux2(6144, 8, 48, 15360),
    "flux.2 klein 9b": _flux2(4096, 8, 24, 12288),
    "flux.2 klein 4b": _flux2(3072, 5, 20, 7680),
    "lens": ("Lens", {}),
    "mochi": _of("mochi", depth=48, t5_feat_dim=4096, use_t5=True),
    "ltx-video 2b": ("LTXV", {"num_layers": 28, "attention_head_dim": 64, "cross_attention_dim": 2048}),
    "ltx-video 13b": ("LTXV", {"num_layers": 48, "attention_head_dim": 128, "cross_attention_dim": 4096}),
    "ltx-2": ("LTXAV", {"num_layers": 48, "attention_head_dim": 128, "cross_attention_dim": 4096}),
    "minimax h3": _of("minimax_h3", hidden_size=4096, num_attention_heads=32, num_layers=4),
    "hunyuan video": _hunyuan("hunyuan_video", 3072, 20, 40),
    "hunyuan image": _hunyuan("hunyuan_image", 3584, 20, 40, **_IMAGE),
    "hunyuan image refiner": (
        "HunyuanImage21Refiner",
        _hunyuan(
            "hunyuan_video", 3328, 20, 40, **_IMAGE | {"byt5": False}, vec_in_dim=None, patch_size=[1, 1, 1]
        )[1],
    ),
    "hunyuan video 1.5": _hunyuan("hunyuan_video15", 2048, 54, 0, context_in_dim=3584, vision_in_dim=1152),
    "cosmos 7b": _of("cosmos", num_blocks=28, adaln_lora_dim=256),
    "cosmos 14b": _of("cosmos", num_blocks=36, model_channels=5120, num_heads=40, adaln_lora_dim=256),
    "cosmos predict 2 2b": _of("cosmos_predict2", num_blocks=28, model_channels=2048, num_heads=16),
    "cosmos predict 2 14b": _of("cosmos_predict2", num_blocks=36, model_channels=5120, num_heads=40),
    "anima": _of("anima", num_blocks=28, model_channels=2048, num_heads=16),
    "lumina 2": _of("lumina2", n_layers=26, cap_feat_dim=2304, **_LUMINA),
    "newbie": _of("lumina2", n_layers=36, cap_feat_dim=2560, clip_text_dim=1024, **_LUMINA),
    "z-image": _of("z_image", **_Z_IMAGE),
    "wan 1.3b": _wan("wan", 1536, 8960, 30),
    "wan 14b": _wan("wan", 5120, 13824, 40),
    "wan 5b": _wan("wan", 3072, 14336, 30, in_dim=48, out_dim=48),
    "wan i2v": _wan("wan_i2v", 5120, 13824, 40),
    "wan vace": _wan("wan_vace", 1536, 8960, 30, vace_layers=15),
    "wan animate": _wan("wan_animate", 5120, 13824, 40),
    "wan s2v": ("WAN22_S2V", _wan("wan", 5120, 13824, 40, model_type="s2v")[1]),
    "wan humo": ("WAN21_HuMo", _wan("wan", 5120, 13824, 40, model_type="humo", in_dim=36)[1]),
    "hunyuan3d 2": ("Hunyuan3Dv2", {"hidden_size": 1024, "depth": 16, "depth_single_blocks": 32}),
    "hunyuan3d 2 mini": (
        "Hunyuan3Dv2mini",
        {"hidden_size": 1024, "depth": 8, "depth_single_blocks": 16, "context_in_dim": 1024},
    ),
    "hunyuan3d 2.1": ("Hunyuan3Dv2_1", {"guidance_cond_proj_dim": None}),
    "hidream": _of("hidream", **_HIDREAM),
    "hidream o1": ("HiDreamO1", {}),
    "seedvr2 3b": (
        "SeedVR2",
        {"vid_dim": 2560, "heads": 20, "num_layers": 32, "norm_eps": 1e-5, "mlp_type": "swiglu"},
    ),
    "seedvr2 7b": (
        "SeedVR2",
        {
            "vid_dim": 3072,
            "heads": 24,
            "num_layers": 36,
            "mm_layers": 36,
            "norm_eps": 1e-5,
            "mlp_type": "normal",
        }
        | {"rope_type": "rope3d", "rope_dim": 64},
    ),
    "ace-step": (
        "ACEStep",
        {"attention_head_dim": 128, "in_channels": 8, "inner_dim": 2560, "mlp_ratio": 2.5, "num_layers": 24}
        | {"num_attention_heads": 20, "out_channels": 8, "patch_size": [16, 1], "max_position": 32768}
        | {"text_embedding_dim": 768, "speaker_embedding_dim": 512, "lyric_hidden_size": 1024}
        | {"ssl_encoder_depths": [8, 8], "ssl_latent_dims": [1024, 768], "ssl_names": ["mert", "m-hubert"]}
        | {"max_height": 16, "max_width": 32768, "rope_theta": 1e6, "lyric_encoder_vocab_size": 6693},
    ),
    "omnigen 2": (
        "Omnigen2",
        {
            "hidden_size": 2520,
            "num_attention_heads": 21,
            "num_kv_heads": 7,
            "num_layers": 32,
            "text_feat_dim": 2048,
        },
    ),
    "boogu": ("Boogu", {}),
    "ideogram 4": ("Ideogram4", {"num_layers": 34}),
    "krea 2": (
        "Krea2",
        {
            "features": 6144,
            "tdim": 256,
            "txtdim": 2560,
            "heads": 48,
            "kvheads": 12,
            "layers": 28,
            "multiplier": 4,
        }
        | {"txtheads": 20, "txtkvheads": 20},
    ),
    "mageflow": ("MageFlow", {}),
    "qwen-image": ("QwenImage", {"num_layers": 60}),
    "joyimage": ("JoyImage", {"hidden_size": 4096, "num_layers": 40, "num_attention_heads": 32}),
    "kandinsky 5 lite": ("Kandinsky5", {}),
    "kandinsky 5 pro": (
        "Kandinsky5",
        {"model_dim": 4096, "ff_dim": 16384, "num_visual_blocks": 60, "num_text_blocks": 4, "time_dim": 1024}
        | {"axes_dims": (32, 48, 48)},
    ),
    "kandinsky 5 image": (
        "Kandinsky5Image",
        {"model_dim": 2560, "ff_dim": 10240, "num_visual_blocks": 50, "visual_embed_dim": 64}
        | {"axes_dims": (32, 48, 48)},
    ),
    "ernie": ("ErnieImage", {}),
    "cogvideox 2b": _of("cogvideox", num_attention_heads=30, num_layers=30, time_embed_dim=512),
    "cogvideox 5b": _of("cogvideox", num_attention_heads=48, num_layers=42, time_embed_dim=512),
    "pixeldit": ("PixelDiTT2I", {}),
    "pid": ("PiD", {"lq_hidden_dim": 512, "lq_interval": 2, "lq_latent_channels": 16}),
    "z-image in pixels": (
        "ZImagePixelSpace",
        _of("z_image", **_Z_IMAGE, decoder_hidden_size=3840, decoder_num_res_blocks=4, decoder_max_freqs=8)[1]
        | {"patch_size": 32, "in_channels": 3, "decoder_in_channels": 3072},
    ),
}
