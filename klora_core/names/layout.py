"""What the names and shapes in a LoRA file tell about its base model's layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .networks.tables import TABLES
from .table import flat

UNET, FLUX, OTHER = "unet", "flux", "other"

_ATTENTION_IN_FIRST_UP = re.compile(r"up_blocks\.0\.attentions|output_blocks\.[0-2]\.1\.transformer_blocks")
# SD 1.5 attends in its first down block, SDXL does not; an up block with attention but the first, neither.
_ATTENTION_ELSEWHERE = re.compile(
    r"(down_blocks\.0|up_blocks\.\d)\.attentions|(input_blocks\.1|output_blocks\.\d+)\.1\.transformer_blocks"
)
# What one network alone has, in flattened names; the first that any name of a file fits.
_SIGNS = tuple(
    (network, re.compile(pattern))
    for network, pattern in (
        (UNET, r"(down|up|input|output)_blocks_|mid(dle)?_block_"),
        (FLUX, r"(double|single)_blocks_|blocks_\d+_(attn_[ab]_to_|ff_[ab]_|norm1_[ab]_)"),
        ("auraflow", r"joint_transformer_blocks_|(double|single)_layers_"),
        ("auraflow", r"single_transformer_blocks_\d+_(ff_|norm1_|attn_to_out_0)"),
        (FLUX, r"single_transformer_blocks_\d+_(attn_to_|proj_(mlp|out)$|norm_linear$)"),
        (FLUX, r"context_embedder_(2|token_refiner|proj_in|time_text)_?|txt_in_individual_token_refiner_"),
        ("sd3", r"joint_blocks_"),
        ("krea", r"text_?fusion_|time_mod_proj$|transformer_blocks_\d+_(attn_to_gate|ff_(gate|up|down))$"),
        ("krea", r"blocks_\d+_attn_w[qkvo]$"),
        ("mochi", r"blocks_\d+_(attn_(qkv|proj)_[xy]|mlp_[xy]_w\d|mod_[xy])$"),
        ("mochi", r"transformer_blocks_\d+_(attn1_(add_[qkv]_proj|to_add_out)|norm1_context_linear_1)$"),
        ("cosmos", r"blocks_block\d+_"),
        ("cosmos2", r"blocks_\d+_((self|cross)_attn_(q|k|v|output)_proj|adaln_modulation_)"),
        ("wan", r"(vace_)?blocks_\d+_((self|cross)_attn_(q|k|v|o|k_img|v_img)$|ffn_)|condition_embedder_"),
        ("cogvideox", r"blocks_\d+_(q|k|v|attn_out|ff_proj|ff_out)$|patch_embed_text_proj$"),
        ("cogvideox", r"transformer_blocks_\d+_norm2_linear$"),
        ("pixart", r"blocks_\d+_cross_attn_(q|kv)_linear$|t_block_1$"),
        ("lumina", r"(layers|(noise|context)_refiner)_\d+_attention_(qkv|out|to_[qkv]|to_out(_0)?)$"),
        ("lumina", r"all_(x_embedder|final_layer)_"),
        ("ltx", r"(audio_)?(patchify_proj|proj_in)$|(audio_)?time_embed_(emb_|linear$)|av_(ca|cross_attn)_"),
    )
)
# Wan's attention in diffusers' names is HunyuanDiT's and Hunyuan3D's too, which have other layers beside it.
_WAN_ATTENTION = re.compile(r"(vace_)?blocks_\d+_attn[12]_(to_[qkv]|to_out(_0)?|add_[kv]_proj)$")
_NOT_WAN = re.compile(r"blocks_\d+_(?!attn[12]_(to|add|norm)_|norm)|mlp_t5_|extra_embedder_")
_COSMOS = re.compile(r"transformer_blocks_\d+_norm[123]_linear_[12]$")
_LUMINA2 = re.compile(r"(layers|(noise|context)_refiner)_\d+_attn_to_[qkv]$")
_ANY_BLOCK = re.compile(r"\w*(layers|blocks)_\d+_")
_JOINT = re.compile(r"transformer_blocks_(\d+)_")
_FLUX_WIDTH, _FLUX_DOUBLE_BLOCKS = 3072, 19
_SD3_WIDTHS, _PIXART_WIDTHS, _COGVIDEOX_WIDTHS = {1536, 2432}, {1152}, {1920, 3072}
# HunyuanVideo 1.5, which has no single blocks, and HunyuanImage.
_HUNYUAN_WIDTHS = {2048, 3584}
_LUMINA2_WIDTH, _COSMOS_TEXT, _COSMOS1_7B = 2304, 1024, 4096
_KREA_KEYS = (1536, 6144)

Shapes = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Layout:
    """What a file's names tell about its base model; None where they leave it open.

    ``network`` is ``unet`` (SD 1.5, SDXL), one of the networks that :mod:`klora_core.names.networks` has a
    table of, whose layout others may share, or ``other``.
    """

    network: str | None = None
    attention_in_first_up_block: bool | None = None

    def or_else(self, other: Layout) -> Layout:
        """This knowledge, and the other's where this leaves something open."""
        return Layout(
            other.network if self.network is None else self.network,
            other.attention_in_first_up_block
            if self.attention_in_first_up_block is None
            else self.attention_in_first_up_block,
        )


def layout_of(shapes: Shapes) -> Layout:
    """What the paths of a file (with the shape [out, n] of each) tell about its base model."""
    return Layout(
        _network({flat(path): shape for path, shape in shapes.items()}), _has_early_attention(shapes)
    )


def _network(shapes: Shapes) -> str | None:
    for network, sign in _SIGNS:
        if any(map(sign.match, shapes)):
            return network
    if any(map(_WAN_ATTENTION.match, shapes)) and not any(map(_NOT_WAN.match, shapes)):
        return "wan"
    if any(_LUMINA2.match(path) and n == _LUMINA2_WIDTH for path, (_, n) in shapes.items()):
        return "lumina"
    if any(map(_COSMOS.match, shapes)):
        # Cosmos 1 and Predict 2 are called alike; of the sizes only 7B is one's own.
        width = (n for path, (_, n) in shapes.items() if path.endswith("_linear_1"))
        return "cosmos" if _COSMOS1_7B in width else "cosmos2"
    numbers = [int(found[1]) for path in shapes if (found := _JOINT.match(path))]
    if numbers:
        return _by_width({path: shape for path, shape in shapes.items() if _JOINT.match(path)}, max(numbers))
    return OTHER if any(map(_ANY_BLOCK.match, shapes)) else None


def _by_width(shapes: Shapes, last: int) -> str | None:
    """The network of a file whose blocks are ``transformer_blocks.N``, as many networks' are."""
    for path, shape in shapes.items():
        if shape == _KREA_KEYS and path.endswith(("_attn_to_k", "_attn_to_v")):
            return "krea"
        if shape[1] == _COSMOS_TEXT and path.endswith(("_attn2_to_k", "_attn2_to_v")):
            return "cosmos" if shape[0] == _COSMOS1_7B else "cosmos2"
    down = ("_ff_net_2", "_ff_context_net_2")
    widths = {n for path, (_, n) in shapes.items() if not path.endswith(down)}
    tables = [("sd3", _SD3_WIDTHS), ("pixart", _PIXART_WIDTHS), (FLUX, _HUNYUAN_WIDTHS)]
    if not any("_attn2_" in path for path in shapes):
        tables.append(("cogvideox", _COGVIDEOX_WIDTHS))
    for network, known in tables:
        if len(widths) == 1 and widths <= known and all(map(TABLES[network].find, shapes)):
            return network
    if last >= _FLUX_DOUBLE_BLOCKS or not all(map(TABLES[FLUX].find, shapes)):
        return OTHER
    # Qwen-Image has FLUX's width and attention; the context's norms and feed-forward it calls otherwise.
    sure = {n for path, (_, n) in shapes.items() if "_norm1_context_" in path or "_ff_context_net_0" in path}
    # In another width they are another network's, such as a small SD3, or nobody's: the other LoRA may tell.
    return FLUX if sure == {_FLUX_WIDTH} else None


def _has_early_attention(paths: Iterable[str]) -> bool | None:
    paths = tuple(paths)
    if any(_ATTENTION_IN_FIRST_UP.match(path) for path in paths):
        return True
    return False if any(_ATTENTION_ELSEWHERE.match(path) for path in paths) else None
