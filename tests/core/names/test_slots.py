"""Slots in the order in which a network runs them, and what a person calls their blocks."""

from __future__ import annotations

import pytest

from klora_core.names import block, depth_key, is_attention, reads_text, transformer_block


@pytest.mark.parametrize(
    "run",
    [
        "time_embed.0 input_blocks.1.1.proj_in middle_block.1.proj_in output_blocks.0.1.proj_in out.2",
        "img_in double_blocks.2.img_attn.qkv[0:8] double_blocks.2.img_attn.qkv[8:16] "
        "double_blocks.2.img_attn.qkv[16:24] double_blocks.10.img_mlp.0 single_blocks.0.linear1 final_layer",
        "time_embed.0 input_blocks.2.1.a input_blocks.10.1.a middle_block.1.a output_blocks.0.1.a "
        "double_blocks.0.img_attn.qkv[0:8] single_blocks.3.linear1 final_layer.linear",
        "patch_embedding blocks.3.ffn.0 blocks.3.ffn.2 head.head",
        "img_in single_blocks.3.linear1 final_layer.adaLN_modulation.1",
        "img_in single_blocks.3.linear1 final_proj[0:8]",
        "blocks.3.ffn.0 face_adapter.fuser_blocks.0.linear1 audio_injector.injector.0.q head.head",
        # Numbers as numbers, and before names.
        "5.a 10.a a.1",
    ],
)
def test_depth_runs_from_the_embedders_to_the_output(run):
    names = run.split()
    assert sorted(reversed(names), key=depth_key) == names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input_blocks.4.1.transformer_blocks.0.attn1.to_q", ("down", "down 4")),
        ("input_blocks.4.1.proj_in", ("down", "down 4")),
        ("middle_block.1.proj_in", ("mid", "mid")),
        ("img_in", ("other", "img_in")),
        ("double_blocks.3", ("double", "double 3")),
        ("double_blocks.3.img_attn.qkv[0:8]", ("double", "double 3")),
        ("double_blocks", ("double", "double")),
        ("double_blocks.odd.linear", ("double", "double")),
        ("proj[0:8]", ("other", "proj")),
        ("odd.3.linear", ("other", "odd")),
        ("double_layers.3.attn.w1q", ("double", "double 3")),
        ("single_stream_blocks.12.block.attn1.to_q", ("single", "single 12")),
        ("visual_transformer_blocks.2.self_attention.to_key", ("visual", "visual 2")),
        ("text_transformer_blocks.2.self_attention.to_key", ("text", "text 2")),
        ("txtfusion.refiner_blocks.1.attn.wq", ("text", "text 1")),
        ("txt_in.individual_token_refiner.blocks.1.self_attn.qkv", ("refiner", "refiner 1")),
        ("blocks.block3.blocks.0.block.attn.to_q.0", ("block", "block 3")),
        ("vace_blocks.3.self_attn.q", ("vace", "vace 3")),
        ("vace_blocks_of_others.3.linear", ("other", "vace_blocks_of_others")),
    ],
)
def test_blocks(name, expected):
    assert block(name) == expected


_ATTENTION = """
blocks.3.q blocks.3.k blocks.3.v[0:8] blocks.3.attn_out layers.3.self_attention.to_q
layers.3.attention.qkv[0:8] visual_transformer_blocks.3.cross_attention.out_layer double_layers.3.attn.w2o
blocks.3.attn.gate double_stream_blocks.3.block.attn1.to_q_t joint_blocks.3.x_block.attn2.proj
single_blocks.3.linear1[0:8] blocks.block3.blocks.1.block.attn.to_k.0 blocks.3.attn.qkv_x
single_blocks.3.linear2 audio_injector.injector.2.o blocks.3.cross_attn.k_img
transformer_blocks.3.audio_to_video_attn.to_v double_blocks.3.attn.img_attn_qkv
face_adapter.fuser_blocks.1.linear1_kv[0:8] pooler.q_proj t5_y_embedder.to_kv
up_blocks.0.2.attention.attn.out_proj input_blocks.4.1.transformer_blocks.0.attn1.to_q
double_blocks.0.txt_attn.qkv[0:3072] single_blocks.0.linear1 single_blocks.0.linear1[0:3072]
single_blocks.0.linear1[3072:6144] single_blocks.0.linear1[6144:9216] single_blocks.0.linear1[0:9216]
blocks.0.self_attn.q_proj layers.0.attention.qkv
"""
_NO_ATTENTION = """
blocks.3.ff_proj blocks.3.norm1.linear blocks.3.ffn.0 layers.3.mlp.up_proj layers.3.feed_forward.w1 img_in
out_layer.modulation.out_layer visual_transformer_blocks.3.feed_forward.out_layer double_layers.3.mlpX.c_proj
blocks.3.adaln_modulation_self_attn.1 pixel_blocks.3.compress_to_attn single_blocks.3.linear1[24:96] head.head
single_blocks.3.modulation.lin blocks.3.v2 time_embedding_linear_1 final_layer.linear pooler_proj.q_proj
input_blocks.4.1.transformer_blocks.0.ff.net.0.proj input_blocks.4.1.proj_in double_blocks.0.img_mlp.0
single_blocks.0.linear1[9216:21504] single_blocks.0.linear1[18432:55296] blocks.0.adaln_modulation_self_attn.1
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [(name, True) for name in _ATTENTION.split()] + [(name, False) for name in _NO_ATTENTION.split()],
)
def test_attention(name, expected):
    assert is_attention(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input_blocks.7.1.transformer_blocks.3.attn1.to_q", "input_blocks.7.1.transformer_blocks.3"),
        ("middle_block.1.transformer_blocks.0.ff.net.2", "middle_block.1.transformer_blocks.0"),
        ("input_blocks.4.0.in_layers.2", "input_blocks.4"),
        ("double_blocks.11.img_attn.qkv", "double_blocks.11"),
        ("single_blocks.2.linear1", "single_blocks.2"),
        ("blocks.3.cross_attn.k", "blocks.3"),
        ("layers.9.attention.qkv", "layers.9"),
        ("transformer_blocks.4.attn.to_q", "transformer_blocks.4"),
        ("img_in", "img_in"),
        ("proj[0:8]", "proj"),
        ("final_layer.linear", "final_layer"),
    ],
)
def test_the_transformer_block_of_a_slot(name, expected):
    assert transformer_block(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input_blocks.7.1.transformer_blocks.3.attn2.to_k", True),
        ("input_blocks.7.1.transformer_blocks.3.attn2.to_q", False),
        ("input_blocks.7.1.transformer_blocks.3.attn1.to_k", False),
        ("blocks.3.cross_attn.k", True),
        ("blocks.3.cross_attn.v", True),
        # Wan's picture of the first frame is no text.
        ("blocks.3.cross_attn.k_img", False),
        ("blocks.3.self_attn.v", False),
        ("blocks.0.cross_attn.kv_linear", True),
        ("blocks.0.attn2.kv_proj", True),
        ("blocks.1.cross_attn.v_proj", True),
        ("visual_transformer_blocks.0.cross_attention.to_key", True),
        ("transformer_blocks.2.attn2.to_v", True),
        ("double_blocks.0.txt_attn.qkv", False),
        # SD3.5's second attention of the picture to itself.
        ("joint_blocks.0.x_block.attn2.qkv", False),
    ],
)
def test_slots_that_read_the_text_alone(name, expected):
    assert reads_text(name) == expected
