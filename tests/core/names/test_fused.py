"""Projections in one layer: which names are such, and where queries, keys and values lie in it."""

from __future__ import annotations

import pytest

from klora_core import names
from klora_core.names import Part

GROUPED = [("to_q", 0, 6144), ("to_k", 6144, 1536), ("to_v", 7680, 1536)]
THIRDS = [("to_q", 0, 8), ("to_k", 8, 8), ("to_v", 16, 8)]
ADDED = [("add_q_proj", 0, 9), ("add_k_proj", 9, 9), ("add_v_proj", 18, 9)]


@pytest.mark.parametrize(
    ("raw", "shape", "parts"),
    [
        ("transformer.transformer_blocks.0.attn.to_qkv", (9216, 6144), GROUPED),
        ("text_fusion.refiner_blocks.1.attn.to_qkv", (24, 8), THIRDS),
        ("lycoris_transformer_blocks_3_attn_to_qkv", (24, 8), THIRDS),
        ("unet.down_blocks.1.attentions.0.transformer_blocks.2.attn1.to_qkv", (24, 8), THIRDS),
        ("transformer.layers.3.attention.to_qkv", (24, 8), THIRDS),
        ("transformer.blocks.3.attn1.to_qkv", (24, 8), THIRDS),
        ("transformer.blocks.3.attn2.to_kv", (16, 5), [("to_k", 0, 8), ("to_v", 8, 8)]),
        ("transformer_blocks.3.attn.to_added_qkv", (27, 6), ADDED),
        ("transformer_blocks.3.attn.to_added_qkv", (27, 12), ADDED),
        ("transformer_blocks.3.attn2.to_added_kv", (4, 6), [("add_k_proj", 0, 2), ("add_v_proj", 2, 2)]),
        # More inputs than outputs, as many, and none that are known.
        *(("transformer_blocks.3.attn.to_qkv", (24, n), THIRDS) for n in (99, 24, 0)),
        ("transformer_blocks.3.attn.to_qkv", (5, 1), [("to_q", 0, 1), ("to_k", 1, 2), ("to_v", 3, 2)]),
    ],
)
def test_the_parts_of_a_fused_layer(raw, shape, parts):
    stem = raw[: raw.rindex("to_")]
    assert names.is_fused(raw)
    found = names.parts_of(raw, shape)
    assert found == tuple(Part(stem + name, *span) for name, *span in parts)
    assert all(type(number) is int for part in found for number in part[1:])


@pytest.mark.parametrize(
    "raw",
    [
        *("transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_qkv_mlp_proj", "to_qkv"),
        # Layers of other networks themselves.
        *("transformer.layers.0.self_attn.to_qkv", "blocks.0.self_attn.to_qkv", "blocks.1.cross_attn.to_kv"),
        *("t5_y_embedder.to_kv", "double_blocks.0.img_attn.qkv", "blocks.0.attn.qkv_x"),
    ],
)
def test_layers_that_are_none(raw):
    assert not names.is_fused(raw) and names.parts_of(raw, (24, 8)) == ()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("to_qkv", (25, 8)),
        ("to_qkv", (23, 99)),
        ("to_qkv", (9, 8)),
        ("to_qkv", (0, 8)),
        ("to_kv", (15, 8)),
        ("to_added_qkv", (20, 8)),
    ],
)
def test_rows_that_can_t_be_so_many(layer, shape):
    assert names.parts_of(f"transformer_blocks.0.attn.{layer}", shape) == ()
