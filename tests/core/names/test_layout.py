"""The layout of a LoRA's network, from its names and widths."""

from __future__ import annotations

import pytest

from klora_core.names import OTHER, TABLES, UNET, Layout, layout_of
from klora_core.names.bases import said
from klora_core.names.bases.builds.found import BUILDS
from klora_core.names.sign_table import SIGNS
from klora_core.names.signs import lines_of

H = 3072


def attention(width, *more, out=None):
    shapes = {f"transformer_blocks.0.attn.to_{x}": (out or width, width) for x in "kv"}
    return {"transformer_blocks.0.attn.to_q": (width, width), **shapes, **dict(more)}


@pytest.mark.parametrize(
    ("paths", "network"),
    [
        ({"transformer_blocks.0.attn.to_q": (H, H), "single_transformer_blocks.0.attn.to_q": (H, H)}, "flux"),
        ({"double_blocks.0.img_attn.qkv": (3 * H, H)}, "flux"),
        (attention(H, ("transformer_blocks.0.ff_context.net.0.proj", (4 * H, H))), "flux"),
        # SD 3.5 has the same names in other widths; Qwen-Image has the width, other names and more blocks.
        ({"transformer_blocks.0.norm1_context.linear": (6 * 1536, 1536)}, "sd3"),
        (attention(2432, ("transformer_blocks.37.ff.net.2", (2432, 4 * 2432))), "sd3"),
        (attention(1536, ("transformer_blocks.0.img_mod.1", (6 * 1536, 1536))), "other"),
        (attention(2560), None),
        (attention(H, ("transformer_blocks.0.img_mod.1", (6 * H, H))), "other"),
        (attention(H, ("transformer_blocks.59.attn.to_q", (H, H))), "other"),
        (attention(2560, ("transformer_blocks.0.norm1_context.linear", (6 * 2560, 2560))), None),
        (attention(H), None),
        ({}, None),
        ({"joint_blocks.0.x_block.attn.qkv": (4608, 1536)}, "sd3"),
        # Krea's keys and values have a quarter of its width.
        (attention(6144, out=1536), "krea"),
        (attention(6144), None),
        ({"transformer_blocks.0.ff.gate": (16384, 6144)}, "krea"),
        ({"text_fusion.projector": (1, 12)}, "krea"),
        (
            {"joint_transformer_blocks.0.attn.to_q": (H, H), "single_transformer_blocks.0.attn.to_q": (H, H)},
            "auraflow",
        ),
        ({"single_transformer_blocks.0.ff.linear_1": (8192, H)}, "auraflow"),
        # LTX has PixArt's names in another width.
        ({"transformer_blocks.0.attn1.to_q": (1152, 1152)}, "pixart"),
        ({"transformer_blocks.0.attn1.to_q": (2048, 2048)}, "other"),
        ({"input_blocks.4.1.transformer_blocks.0.attn1.to_q": (640, 640)}, "unet"),
        ({"layers.0.self_attention.to_q": (4096, 4096)}, "other"),
        ({"time_embedding.linear_1": (4096, 4096)}, None),
    ],
)
def test_what_tells_the_network(paths, network):
    assert layout_of(paths).network == network


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("up_blocks.0.attentions.0.proj_in", True),
        ("output_blocks.0.1.transformer_blocks.0.attn1.to_q", True),
        ("up_blocks.1.attentions.0.proj_in", False),
        ("input_blocks.1.1.transformer_blocks.0.attn1.to_q", False),
        ("up_blocks.0.resnets.0.conv1", None),
    ],
)
def test_what_tells_sdxl_from_sd15(path, expected):
    assert layout_of({path: (8, 8)}) == Layout(UNET, expected)


def test_a_part_of_a_weight_is_looked_up_by_the_weights_name():
    assert lines_of({"blocks.0.q[0:4]": (4, 8), "head": (2, 8)}) == [
        "blocks_0_q 4x8 blocks.0.q",
        "head 2x8 head",
    ]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Layout(), Layout("flux", True), Layout("flux", True)),
        (Layout("unet"), Layout("flux", False), Layout("unet", False)),
        (Layout("unet", False), Layout("flux", True), Layout("unet", False)),
        (Layout("unet"), Layout(), Layout("unet")),
    ],
)
def test_another_lora_tells_what_one_leaves_open(one, other, both):
    assert one.or_else(other) == both


def test_the_signs_tell_all_layouts_that_there_are():
    assert {sign.layout for sign in SIGNS} == {None, UNET, OTHER, *TABLES}
    assert {row_layout for row in said.TABLE for row_layout in row.layouts} <= {UNET, OTHER, *TABLES}
    assert {build.layout for build in BUILDS} <= {None, *TABLES}
