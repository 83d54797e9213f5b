"""The signs of the layouts in a LoRA's layers.

Where two fit, the earlier one holds; but what is one layout's own comes before what several share.
"""

from __future__ import annotations

from .networks import TABLES
from .signs import Own, Shared, Sign, only

UNET, FLUX, OTHER = "unet", "flux", "other"

# SD 1.5 attends in its first down block, SDXL does not; an up block with attention but the first, neither.
EARLY_ATTENTION = r" (up_blocks\.0\.attentions|output_blocks\.[0-2]\.1\.transformer_blocks)"
LATE_ATTENTION = (
    r" (down_blocks\.0\.attentions|up_blocks\.\d\.attentions"
    r"|input_blocks\.1\.1\.transformer_blocks|output_blocks\.\d+\.1\.transformer_blocks)"
)
# Blocks that many networks call alike.
_BLOCK = r"^transformer_blocks_\d+_"
_TWENTIETH_BLOCK = r"^transformer_blocks_(19|[2-9]\d|\d{3,})_"
_FLUX_CONTEXT = rf"{_BLOCK}(norm1_context_linear|ff_context_net_0_proj)"
_AURAFLOW = (
    r"^(joint_transformer_blocks_|(double|single)_layers_"
    r"|single_transformer_blocks_\d+_(ff_|norm1_|attn_to_out_0))"
)
_COSMOS_NORM, _COSMOS_TEXT = rf"{_BLOCK}norm[123]_linear_[12] ", rf"{_BLOCK}(\S*_)?attn2_to_[kv]"


def _unnamed(layout: str) -> str:
    """A module of such a block that the layout's table does not name."""
    return rf"{_BLOCK}(?!({'|'.join(TABLES[layout].blocks['transformer_blocks_'])}) )"


def _blocks(layout: str, width: int) -> Shared:
    """Such blocks in the layout's names, all with ``width`` inputs but where a feed-forward ends."""
    has, lacks = only(rf"{_BLOCK}(?!(\S*_)?ff(_context)?_net_2 )\S*", str(width))
    return Shared(layout, has, f"{lacks}|{_unnamed(layout)}")


# fmt: off
SIGNS: tuple[Sign, ...] = (
    Own(UNET, "^((down|up|input|output)_blocks_|mid(dle)?_block_)"),
    Own("sd3", "^joint_blocks_"), _blocks("sd3", 1536), _blocks("sd3", 2432),
    Own(FLUX, r"^((double|single)_blocks_|blocks_\d+_(attn_[ab]_to_|ff_[ab]_|norm1_[ab]_))"),
    Own(FLUX, r"^single_transformer_blocks_\d+_(attn_to_|(proj_(mlp|out)|norm_linear) )", _AURAFLOW),
    Own(FLUX, "^context_embedder_(2|token_refiner|proj_in|time_text)", _AURAFLOW),
    Own(FLUX, "^txt_in_individual_token_refiner_", _AURAFLOW),
    # Qwen-Image has FLUX's width and attention; the context's norms and feed-forward it calls otherwise.
    Shared(FLUX, rf"{_FLUX_CONTEXT} \d+x3072 ",
           rf"{_FLUX_CONTEXT} \d+x(?!3072 )|{_TWENTIETH_BLOCK}|{_unnamed(FLUX)}"),
    # HunyuanVideo 1.5, HunyuanImage
    _blocks(FLUX, 2048), _blocks(FLUX, 3584),
    Own("auraflow", _AURAFLOW),
    Own("pixart", r"^(blocks_\d+_cross_attn_(q|kv)_linear|t_block_1) "), _blocks("pixart", 1152),
    Own("krea", rf"^(text_?fusion_|time_mod_proj )|{_BLOCK}(attn_to_gate|ff_(gate|up|down)) "),
    Own("krea", r"^blocks_\d+_attn_w[qkvo] "),
    # Keys and values have a quarter of its width.
    Shared("krea", rf"{_BLOCK}(\S*_)?attn_to_[kv] 1536x6144 "),
    Own("lumina", r"^(layers|(noise|context)_refiner)_\d+_attention_(qkv|out|to_[qkv]|to_out(_0)?) "),
    Own("lumina", "^all_(x_embedder|final_layer)_"),
    Shared("lumina", r"^(layers|(noise|context)_refiner)_\d+_attn_to_[qkv] \d+x2304 "),
    Own("wan", r"^(vace_)?blocks_\d+_((self|cross)_attn_([qkvo]|[kv]_img) |ffn_)|^condition_embedder_"),
    # HunyuanDiT and Hunyuan3D have these names too, and other layers beside them.
    Shared("wan", r"^(vace_)?blocks_\d+_attn[12]_(to_[qkv]|to_out(_0)?|add_[kv]_proj) ",
           r"^blocks_\d+_(?!attn[12]_(to|add|norm)_|norm)|^mlp_t5_|^extra_embedder_"),
    Own("ltx", "^(audio_)?((patchify_proj|proj_in) |time_embed_(emb_|linear ))|^av_(ca|cross_attn)_"),
    Own("mochi", r"^blocks_\d+_(attn_(qkv|proj)_[xy]|mlp_[xy]_w\d|mod_[xy]) "),
    Own("mochi", rf"{_BLOCK}(attn1_(add_[qkv]_proj|to_add_out)|norm1_context_linear_1) "),
    # Cosmos 1 has the same names in diffusers; of the sizes only its 7B is one's own.
    Own("cosmos2", r"^blocks_\d+_((self|cross)_attn_(q|k|v|output)_proj|adaln_modulation_)"),
    Shared("cosmos2", _COSMOS_NORM, r"_linear_1 \d+x4096 "),
    Shared("cosmos2", rf"{_COSMOS_TEXT} \d+x1024 ", rf"{_COSMOS_TEXT} 4096x1024 |{_COSMOS_NORM}"),
    Own("cosmos", r"^blocks_block\d+_"), Shared("cosmos", rf"{_COSMOS_NORM}|{_COSMOS_TEXT} \d+x1024 "),
    Own("cogvideox", r"^blocks_\d+_(q|k|v|attn_out|ff_proj|ff_out) |^patch_embed_text_proj "),
    Own("cogvideox", f"{_BLOCK}norm2_linear "), _blocks("cogvideox", 1920), _blocks("cogvideox", 3072),
    # FLUX's names in a width that is nobody's, such as a small SD3's: the other LoRA may tell.
    Shared(None, _BLOCK, f"{_TWENTIETH_BLOCK}|{_unnamed(FLUX)}"),
    Shared(OTHER, r"^\w*(layers|blocks)_\d+_"),
)
# fmt: on
