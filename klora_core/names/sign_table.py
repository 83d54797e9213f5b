"""The base models, a row each: name, layouts, what trainers write, and the signs in a LoRA's layers.

Where two rows fit, the earlier one holds.
"""

from __future__ import annotations

from .networks import TABLES
from .signs import Own, Shared, Within, only, row

UNET, FLUX, OTHER = "unet", "flux", "other"

# SD 1.5 attends in its first down block, SDXL does not; an up block with attention but the first, neither.
EARLY_ATTENTION = r" (up_blocks\.0\.attentions|output_blocks\.[0-2]\.1\.transformer_blocks)"
LATE_ATTENTION = (
    r" (down_blocks\.0\.attentions|up_blocks\.\d\.attentions"
    r"|input_blocks\.1\.1\.transformer_blocks|output_blocks\.\d+\.1\.transformer_blocks)"
)
# Blocks that many networks call alike; the keys and values of their text.
_BLOCK, _TEXT = r"^transformer_blocks_\d+_", "_attn2_to_[kv]"
_TWENTIETH_BLOCK = r"^transformer_blocks_(19|[2-9]\d|\d{3,})_"
_FLUX_CONTEXT = rf"{_BLOCK}(norm1_context_linear|ff_context_net_0_proj)"
_FLUX_INPUTS = (
    r"(img_attn_(qkv|q|k|v)|blocks_\d+_attn_(to_[qkv]|add_q_proj)|linear1(_qkv)?|_lora1|norm1_linear"
    r"|(img|txt)_(mod|attn_proj)\S*|img_mlp_(0|fc1)|ff_net_0_proj)"
)
_NO_FLUX_WIDTH = only(_FLUX_INPUTS, "3072")[1]
_AURAFLOW = (
    r"^(joint_transformer_blocks_|(double|single)_layers_"
    r"|single_transformer_blocks_\d+_(ff_|norm1_|attn_to_out_0))"
)
_LUMINA_INPUTS = "_(attention_(qkv|to_[qkv])|attn_to_[qkv]|feed_forward_(w[13]|linear_[13]))"
_COSMOS_NORM, _COSMOS_TEXT = rf"{_BLOCK}norm[123]_linear_[12] ", rf"{_BLOCK}(\S*_)?attn2_to_[kv]"


def _unnamed(layout: str) -> str:
    """A module of such a block that the layout's table does not name."""
    return rf"{_BLOCK}(?!({'|'.join(TABLES[layout].blocks['transformer_blocks_'])}) )"


def _blocks(layout: str, width: int) -> Shared:
    """Such blocks in the layout's names, all with ``width`` inputs but where a feed-forward ends."""
    has, lacks = only(rf"{_BLOCK}(?!(\S*_)?ff(_context)?_net_2 )\S*", str(width))
    return Shared(layout, has, f"{lacks}|{_unnamed(layout)}")


# fmt: off
ROWS = (
    row("", "", "", Own(UNET, "^((down|up|input|output)_blocks_|mid(dle)?_block_)")),
    row("SDXL", "unet", "sdxl|stable-diffusion-xl|sd-xl|pony|illustrious|noobai|playground-v2",
        Within(UNET, *only(_TEXT, "2048")), Within(UNET, EARLY_ATTENTION, f"{_TEXT} ")),
    row("SD1.5", "unet", "(^|[-/])sd-?v?1|stable-diffusion-v?-?1",
        Within(UNET, *only(_TEXT, "768")), Within(UNET, LATE_ATTENTION, f"{_TEXT} |{EARLY_ATTENTION}")),
    row("SD2", "unet", "(^|[-/])sd-?v?2|stable-diffusion-v?-?2", Within(UNET, *only(_TEXT, "1024"))),
    row("SDXL refiner", "unet", "", Within(UNET, *only(_TEXT, "1280"))),
    row("Stable Cascade", "unet", "cascade|wuerstchen",
        Within(UNET, r"^(down|up)_blocks_\d+_\d+_(attention|channelwise|kv_mapper)")),
    row("SD3", "sd3 other", "(^|[-/])sd-?v?3|stable-diffusion-v?-?3",
        Own("sd3", "^joint_blocks_"), _blocks("sd3", 1536), _blocks("sd3", 2432), Within("sd3")),
    row("", "", "",
        Own(FLUX, r"^((double|single)_blocks_|blocks_\d+_(attn_[ab]_to_|ff_[ab]_|norm1_[ab]_))"),
        Own(FLUX, r"^single_transformer_blocks_\d+_(attn_to_|(proj_(mlp|out)|norm_linear) )", _AURAFLOW),
        Own(FLUX, "^context_embedder_(2|token_refiner|proj_in|time_text)", _AURAFLOW),
        Own(FLUX, "^txt_in_individual_token_refiner_", _AURAFLOW),
        # Qwen-Image has FLUX's width and attention; the context's norms and feed-forward it calls otherwise.
        Shared(FLUX, rf"{_FLUX_CONTEXT} \d+x3072 ",
               rf"{_FLUX_CONTEXT} \d+x(?!3072 )|{_TWENTIETH_BLOCK}|{_unnamed(FLUX)}")),
    row("Chroma", "flux", "chroma", Within(FLUX, "^distilled_guidance_layer_")),
    # FLUX.2 dev has as many single blocks as HunyuanVideo and more.
    row("FLUX.2", "flux", "flux-?2", Within(FLUX, "stream_modulation|to_qkv_mlp_proj |_ff_linear_in "),
        Within(FLUX, rf"{_FLUX_INPUTS} \d+x(4096|6144) ")),
    # In a text FLUX is looked for here, in layers below HunyuanVideo, which has all of its signs.
    row("FLUX", "flux other", "flux|kontext"),
    row("HunyuanVideo 1.5", "flux other", "hunyuan-?video-?1-?5|hv-?15",
        _blocks(FLUX, 2048), Within(FLUX, *only(_FLUX_INPUTS, "2048"))),
    row("HunyuanImage", "flux other", "hunyuan-?image",
        _blocks(FLUX, 3584), Within(FLUX, *only(_FLUX_INPUTS, "3584"))),
    row("HunyuanVideo", "flux", "hunyuan-?video|framepack",
        Within(FLUX, "txt_in_individual|^context_embedder_(token|proj_in|time)|^img_in_proj"),
        Within(FLUX, "single_(transformer_)?blocks_(38|39)_|^(transformer|double)_blocks_19_"),
        # Its attention and FLUX's, flattened, have one name.
        Within(FLUX, "_(img|txt)_attn_(qkv|proj) ", also=r"_(img|txt)_(mlp_fc\d|mod_linear) ")),
    # Chroma has FLUX's blocks, but what modulates them.
    row("FLUX", "flux", "",
        Within(FLUX, "(mod_lin|modulation_lin|norm_linear|norm1(_context)?_linear) |_in_", _NO_FLUX_WIDTH)),
    row("FLUX/Chroma", "flux", "", Within(FLUX, lacks=_NO_FLUX_WIDTH)),
    row("HunyuanDiT", "wan other", "hunyuan-?dit|hydit",
        Within("wan", *only("_attn[12]_to_q", "1408")), Within(OTHER, r"^blocks_\d+_attn1_Wqkv ")),
    row("AuraFlow", "auraflow", "aura-?flow", Own("auraflow", _AURAFLOW), Within("auraflow")),
    row("PixArt", "pixart other", "pixart",
        Own("pixart", r"^(blocks_\d+_cross_attn_(q|kv)_linear|t_block_1) "),
        _blocks("pixart", 1152), Within("pixart")),
    row("Krea 2", "krea", "krea-?2", Within("krea"),
        Own("krea", rf"^(text_?fusion_|time_mod_proj )|{_BLOCK}(attn_to_gate|ff_(gate|up|down)) "),
        Own("krea", r"^blocks_\d+_attn_w[qkvo] "),
        # Keys and values have a quarter of its width.
        Shared("krea", rf"{_BLOCK}(\S*_)?attn_to_[kv] 1536x6144 ")),
    row("Z-Image", "lumina", "z-?image", Within("lumina", *only(_LUMINA_INPUTS, "3840"))),
    row("Lumina 2", "lumina other", "lumina", Within("lumina", *only(_LUMINA_INPUTS, "2304")),
        Own("lumina", r"^(layers|(noise|context)_refiner)_\d+_attention_(qkv|out|to_[qkv]|to_out(_0)?) "),
        Own("lumina", "^all_(x_embedder|final_layer)_"),
        Shared("lumina", r"^(layers|(noise|context)_refiner)_\d+_attn_to_[qkv] \d+x2304 ")),
    # Of these blocks HunyuanVideo and FLUX have fewer.
    row("Qwen-Image", "other", "qwen-?image|(^|[-/])qwen",
        Within(OTHER, rf"{_BLOCK}(img|txt)_(mod_1|mlp_net_)"),
        Within(OTHER, *only(rf"{_BLOCK}attn_(to|add)_[qkv]\S*", "3072"))),
    row("HiDream", "other", "hidream", Within(OTHER, r"^(double|single)_stream_blocks_\d+_block_")),
    row("Wan", "wan", "(^|[-/])wan", Within("wan"),
        Own("wan", r"^(vace_)?blocks_\d+_((self|cross)_attn_([qkvo]|[kv]_img) |ffn_)|^condition_embedder_"),
        # HunyuanDiT and Hunyuan3D have these names too, and other layers beside them.
        Shared("wan", r"^(vace_)?blocks_\d+_attn[12]_(to_[qkv]|to_out(_0)?|add_[kv]_proj) ",
               r"^blocks_\d+_(?!attn[12]_(to|add|norm)_|norm)|^mlp_t5_|^extra_embedder_")),
    row("LTX-2", "ltx other", "ltx-?2|ltx-?av", Within("ltx", "^audio_|_audio_|^av_"),
        Within(OTHER, rf"{_BLOCK}(audio_|video_to_audio)")),
    row("LTX-Video", "ltx other", "ltx",
        Within("ltx"), Within(OTHER, *only(f"{_BLOCK}attn2_to_[kv]", "2048|4096")),
        Own("ltx", "^(audio_)?((patchify_proj|proj_in) |time_embed_(emb_|linear ))|^av_(ca|cross_attn)_")),
    row("Mochi", "mochi", "mochi", Within("mochi"),
        Own("mochi", r"^blocks_\d+_(attn_(qkv|proj)_[xy]|mlp_[xy]_w\d|mod_[xy]) "),
        Own("mochi", rf"{_BLOCK}(attn1_(add_[qkv]_proj|to_add_out)|norm1_context_linear_1) ")),
    # Anima is Cosmos Predict 2's network with a text adapter before it.
    row("Anima", "cosmos2 other", "anima", Within("cosmos2", "^llm_adapter_")),
    # Cosmos 1 has the same names in diffusers; of the sizes only its 7B is one's own.
    row("Cosmos Predict 2", "cosmos2 other", "cosmos-?(predict-?)?2",
        Own("cosmos2", r"^blocks_\d+_((self|cross)_attn_(q|k|v|output)_proj|adaln_modulation_)"),
        Shared("cosmos2", _COSMOS_NORM, r"_linear_1 \d+x4096 "),
        Shared("cosmos2", rf"{_COSMOS_TEXT} \d+x1024 ", rf"{_COSMOS_TEXT} 4096x1024 |{_COSMOS_NORM}")),
    row("Cosmos Predict 2/Anima", "cosmos2", "", Within("cosmos2")),
    row("Cosmos", "cosmos cosmos2 other", "cosmos", Own("cosmos", r"^blocks_block\d+_"),
        Shared("cosmos", rf"{_COSMOS_NORM}|{_COSMOS_TEXT} \d+x1024 "), Within("cosmos")),
    row("CogVideoX", "cogvideox other", "cogvideo", Within("cogvideox"),
        Own("cogvideox", r"^blocks_\d+_(q|k|v|attn_out|ff_proj|ff_out) |^patch_embed_text_proj "),
        Own("cogvideox", f"{_BLOCK}norm2_linear "),
        _blocks("cogvideox", 1920), _blocks("cogvideox", 3072)),
    row("OmniGen 2", "other", "omnigen-?2", Within(OTHER, *only(r"^layers_\d+_attn_to_q", "2520"))),
    row("Kandinsky 5", "other", "kandinsky-?5", Within(OTHER, "^(visual|text)_transformer_blocks_")),
    row("ERNIE-Image", "other", "ernie", Within(OTHER, r"^layers_\d+_self_attention_")),
    row("Ideogram 4", "other lumina", "ideogram-?4"),
    row("MiniMax H3", "other", "", Within(OTHER, r"^blocks_\d+_attn_qkv_proj ")),
    # FLUX's names in a width that is nobody's, such as a small SD3's: the other LoRA may tell.
    row("", "", "", Shared(None, _BLOCK, f"{_TWENTIETH_BLOCK}|{_unnamed(FLUX)}")),
    row("", "", "", Shared(OTHER, r"^\w*(layers|blocks)_\d+_")),
)
# fmt: on
