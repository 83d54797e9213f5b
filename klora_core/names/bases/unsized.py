"""Base models by names that no other network has, in whatever sizes: a build that is not published yet, or a
small one."""

from __future__ import annotations

from collections.abc import Sequence

from ..signs import Sign, only

_UNET = r"^(down|up|input|output|mid(dle)?)_blocks?_\S*attn2_to_[kv]"
_HUNYUAN = "HunyuanVideo", "HunyuanVideo 1.5", "HunyuanImage"


def _text(width: int) -> Sign:
    """A U-Net whose attention looks at a text of this width, everywhere."""
    return Sign(None, *only(_UNET, str(width)))


_NAMES: tuple[tuple[Sign, tuple[str, ...]], ...] = (
    (_text(2048), ("SDXL",)),
    (_text(768), ("SD1.5",)),
    (_text(1024), ("SD2", "Stable Video Diffusion")),
    (_text(1280), ("SDXL refiner",)),
    *(
        (Sign(None, pattern), names)
        for pattern, names in (
            (r"^(down|up)_blocks_\d+_\d+_(attention|channelwise|kv_mapper)", ("Stable Cascade",)),
            ("^joint_blocks_", ("SD3",)),
            ("^distilled_guidance_layer_", ("Chroma",)),
            ("^(double_stream_modulation_(img|txt)|single_stream_modulation)_lin", ("FLUX.2",)),
            (
                r"^txt_in_individual_|^context_embedder_token_refiner|^double_blocks_\d+_img_mlp_fc1 ",
                _HUNYUAN,
            ),
            (r"^joint_transformer_blocks_|^(double|single)_layers_\d+_(attn_w|mlp)", ("AuraFlow",)),
            (r"^blocks_\d+_cross_attn_(q|kv)_linear ", ("PixArt",)),
            (r"^blocks_\d+_attn_w[qkvo] |^text_?fusion_", ("Krea 2",)),
            (r"^(double|single)_stream_blocks_\d+_block_", ("HiDream",)),
            (r"^(vace_)?blocks_\d+_(self|cross)_attn_[qkvo] ", ("Wan",)),
            (r"^transformer_blocks_\d+_(audio_|video_to_audio)", ("LTX-2",)),
            (r"^blocks_\d+_(attn_(qkv|proj)_[xy]|mod_[xy]) ", ("Mochi",)),
            ("^llm_adapter_", ("Anima",)),
            (
                r"^blocks_\d+_((self|cross)_attn_(q|k|v|output)_proj|adaln_modulation_)",
                ("Cosmos Predict 2", "Anima"),
            ),
            (r"^blocks_block\d+_", ("Cosmos",)),
            (
                r"^blocks_\d+_(attn_out|ff_proj|ff_out|norm[12]_linear) |^patch_embed_text_proj ",
                ("CogVideoX",),
            ),
            (r"^(visual|text)_transformer_blocks_", ("Kandinsky 5",)),
            (r"^layers_\d+_self_attention_to_", ("ERNIE-Image",)),
            (r"^(token_refiner_)?blocks_\d+_attn_qkv_proj ", ("MiniMax H3",)),
        )
    ),
)


def unsized(lines: Sequence[str]) -> tuple[str, ...]:
    """The names of the base models that alone call their modules so, by ``lines_of`` them."""
    return next((names for sign, names in _NAMES if sign.fits(lines)), ())
