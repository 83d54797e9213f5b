"""The linears that a LoRA trains in the tiny models, in the spellings of their trainers. Needs no host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .architectures import FLUX_DIT


@dataclass(frozen=True)
class Linear:
    """One trainable linear: its name in diffusers' spelling and its shape."""

    name: str
    out_features: int
    in_features: int


def _transformer_block(prefix: str, channels: int, context: int) -> Iterator[Linear]:
    for attention, kv_in in (("attn1", channels), ("attn2", context)):
        yield Linear(f"{prefix}.{attention}.to_q", channels, channels)
        yield Linear(f"{prefix}.{attention}.to_k", channels, kv_in)
        yield Linear(f"{prefix}.{attention}.to_v", channels, kv_in)
        yield Linear(f"{prefix}.{attention}.to_out.0", channels, channels)


def _unet_linears(depths: dict[str, int], context: int) -> tuple[Linear, ...]:
    """Attention linears below each "side.block.attentions.index" with its number of transformer blocks."""
    return tuple(
        linear
        for place, depth in depths.items()
        for block in range(depth)
        for linear in _transformer_block(f"{place}.transformer_blocks.{block}", 320, context)
    )


def sd15_linears() -> tuple[Linear, ...]:
    """The 56 attention linears of the tiny SD1.5."""
    places = ["down_blocks.0.attentions.0", "down_blocks.1.attentions.0", "mid_block.attentions.0"]
    places += [f"up_blocks.{block}.attentions.{index}" for block in (0, 1) for index in (0, 1)]
    return _unet_linears(dict.fromkeys(places, 1), context=768)


def sdxl_linears() -> tuple[Linear, ...]:
    """The 248 attention linears of the tiny SDXL."""
    depths = {f"down_blocks.1.attentions.{index}": 2 for index in (0, 1)}
    depths |= {f"down_blocks.2.attentions.{index}": 10 for index in (0, 1)}
    depths |= {"mid_block.attentions.0": 1}
    depths |= {f"up_blocks.{block}.attentions.{index}": 1 for block in (0, 1) for index in (0, 1, 2)}
    return _unet_linears(depths, context=2048)


def flux_linears() -> tuple[Linear, ...]:
    """FLUX's attention, feed-forward and modulation linears, split as diffusers names them."""
    width, mlp = FLUX_DIT["hidden_size"], 4 * FLUX_DIT["hidden_size"]
    out: list[Linear] = []
    for block in range(FLUX_DIT["depth"]):
        at = f"transformer_blocks.{block}"
        out += [Linear(f"{at}.attn.{part}", width, width) for part in ("to_q", "to_k", "to_v", "to_out.0")]
        out += [
            Linear(f"{at}.attn.{part}", width, width)
            for part in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        ]
        for stream, norm in (("ff", "norm1"), ("ff_context", "norm1_context")):
            out += [
                Linear(f"{at}.{stream}.net.0.proj", mlp, width),
                Linear(f"{at}.{stream}.net.2", width, mlp),
                Linear(f"{at}.{norm}.linear", 6 * width, width),
            ]
    for block in range(FLUX_DIT["depth_single_blocks"]):
        at = f"single_transformer_blocks.{block}"
        out += [Linear(f"{at}.attn.{part}", width, width) for part in ("to_q", "to_k", "to_v")]
        out += [
            Linear(f"{at}.proj_mlp", mlp, width),
            Linear(f"{at}.proj_out", width, width + mlp),
            Linear(f"{at}.norm.linear", 3 * width, width),
        ]
    return tuple(out)


def flux_fused_linears() -> tuple[Linear, ...]:
    """The same linears fused and named as BFL's own code does, which kohya's trainer follows."""
    width, mlp = FLUX_DIT["hidden_size"], 4 * FLUX_DIT["hidden_size"]
    out: list[Linear] = []
    for block in range(FLUX_DIT["depth"]):
        for stream in ("img", "txt"):
            at = f"double_blocks.{block}.{stream}"
            out += [
                Linear(f"{at}_attn.qkv", 3 * width, width),
                Linear(f"{at}_attn.proj", width, width),
                Linear(f"{at}_mlp.0", mlp, width),
                Linear(f"{at}_mlp.2", width, mlp),
                Linear(f"{at}_mod.lin", 6 * width, width),
            ]
    for block in range(FLUX_DIT["depth_single_blocks"]):
        at = f"single_blocks.{block}"
        out += [
            Linear(f"{at}.linear1", 3 * width + mlp, width),
            Linear(f"{at}.linear2", width, width + mlp),
            Linear(f"{at}.modulation.lin", 3 * width, width),
        ]
    return tuple(out)


def wan_linears() -> tuple[Linear, ...]:
    """Wan's attention and feed-forward linears, as the model names them."""
    width, mlp = 256, 512
    out: list[Linear] = []
    for block in range(2):
        at = f"blocks.{block}"
        for attention in ("self_attn", "cross_attn"):
            out += [Linear(f"{at}.{attention}.{part}", width, width) for part in ("q", "k", "v", "o")]
        out += [Linear(f"{at}.ffn.0", mlp, width), Linear(f"{at}.ffn.2", width, mlp)]
    return tuple(out)


def clip_l_linears(layers: int = 4) -> tuple[Linear, ...]:
    """Some of CLIP-L's projections, as SD1.5 trainers name them."""
    at = "text_model.encoder.layers"
    parts = ("q_proj", "v_proj")
    return tuple(
        Linear(f"{at}.{layer}.self_attn.{part}", 768, 768) for layer in range(layers) for part in parts
    )
