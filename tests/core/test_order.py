"""Slots in the order in which a network runs them, and what a person calls their blocks."""

from __future__ import annotations

import pytest

from klora_core.order import block, depth_key


def test_the_output_comes_last_and_embedders_first():
    for run in (
        "time_embed.0 input_blocks.1.1.proj_in middle_block.1.proj_in output_blocks.0.1.proj_in out.2",
        "img_in double_blocks.2.img_attn.qkv double_blocks.10.img_mlp.0 single_blocks.0.linear1 final_layer",
        "patch_embedding blocks.3.ffn.0 blocks.3.ffn.2 head.head",
    ):
        names = run.split()
        assert sorted(reversed(names), key=depth_key) == names


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("input_blocks.4.1.transformer_blocks.0.attn1.to_q", ("down", "down 4")),
        ("middle_block.1.proj_in", ("mid", "mid")),
        ("double_blocks.3", ("double", "double 3")),
        ("double_blocks.3.img_attn.qkv[0:8]", ("double", "double 3")),
        ("double_blocks", ("double", "double")),
        ("double_blocks.odd.linear", ("double", "double")),
        ("proj[0:8]", ("other", "proj")),
        ("odd.3.linear", ("other", "odd")),
    ],
)
def test_blocks(name, found):
    assert block(name) == found
