"""Which module and which part of it a tensor is, by its name."""

from __future__ import annotations

import pytest

from klora_core.files import Left, What, grouped
from klora_core.files import keys as parts


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.b.lora_up.weight", ("a.b", "up")),
        ("a.b.lora_down.weight", ("a.b", "down")),
        ("a.b.lora_mid.weight", ("a.b", "mid")),
        ("a.b.lora_B.weight", ("a.b", "up")),
        ("a.b.lora_A.default.weight", ("a.b", "down")),
        ("a.b.lora_A", ("a.b", "down")),
        ("a.b.lora.up.weight", ("a.b", "up")),
        ("a.to_q_lora.down.weight", ("a.to_q", "down")),
        ("a.b.lora_linear_layer.up.weight", ("a.b", "up")),
        ("double_blocks.0.processor.qkv_lora1.up.weight", ("double_blocks.0.processor.qkv_lora1", "up")),
        ("a.b.alpha", ("a.b", "alpha")),
        ("a.b.hada_w1_a", ("a.b", "hada_w1_a")),
        ("a.b.lokr_w2_b", ("a.b", "lokr_w2_b")),
        ("a.b.diff", ("a.b", "diff")),
        ("a.b.diff_b", ("a.b", "bias")),
        ("a.b.b_norm", ("a.b", "bias")),
        ("a.b.w_norm", ("a.b", "diff")),
        ("a.b.lora_B.bias", ("a.b", "lora_bias")),
        ("a.b.lora_B.default.bias", ("a.b", "lora_bias")),
        ("a.b.lora_up.bias", ("a.b", "lora_bias")),
        ("a.b.lora_A.bias", None),
        ("a.b.lora_down.bias", None),
        ("a.b.set_weight", ("a.b", "whole")),
        ("a.b.bias", ("a.b", "whole")),
        ("a.b.dora_scale", ("a.b", "dora_scale")),
        ("a.b.lora_magnitude_vector.weight", ("a.b", "magnitude")),
        ("a.b.lora_magnitude_vector", ("a.b", "magnitude")),
        ("a.b.lora_magnitude_vector.default", ("a.b", "magnitude")),
        ("a.b.lora_magnitude_vector.default.weight", ("a.b", "magnitude")),
        ("a.b.oft_R.weight", ("a.b", "PEFT's OFT or BOFT")),
        ("a.b.oft_R.default.weight", ("a.b", "PEFT's OFT or BOFT")),
        ("a.b.oft_R", ("a.b", "PEFT's OFT or BOFT")),
        ("a.b.b1.weight", ("a.b", "glora_b1")),
        ("a.b.lora_up.weight\u200b", None),
        ("a.b.lora_up.weight\x00", None),
        ("a\x1b.b.lora_up.weight", None),
        ("a.b.lora_up.weight ", None),
        (".lora_up.weight", None),
        ("a.b.oft_blocks", ("a.b", "oft_blocks")),
        ("a.b.rescale", ("a.b", "oft_rescale")),
        ("a.b.oft_diag", ("a.b", "PEFT's OFT or BOFT")),
        ("model.diffusion_model.input_blocks.0.0.weight", None),
        ("klora_ranks.a.b.up", ("diffusion_model.a.b", "ranks_up")),
        ("klora_ranks.diffusion_model.a.k", ("diffusion_model.a", "ranks_k")),
        ("klora_ranks.a.b.alpha", ("diffusion_model.a.b", "alpha")),
        ("a.b.lora_gate", ("a.b", "gate")),
        ("a.b.lora_E.default", ("a.b", "lora_E")),
        ("a.b.ranknum", ("a.b", "ranknum")),
        ("unet:12:up", ("unet:12", "up")),
        ("text_encoder:0:down", ("text_encoder:0", "down")),
        ("unet:3:alpha", ("unet:3", "alpha")),
        ("unet:3:rank", None),
        ("unet::up", None),
        ("lora_unet_unet_a_to_k_lora_down.weight", ("lora_unet_unet_a_to_k", "down")),
        ("lora_unet_unet_a_to_out_0_lora_up.weight", ("lora_unet_unet_a_to_out_0", "up")),
        ("lora_unet_a_to_k_lora_up_weight", ("lora_unet_a_to_k", "up")),
        ("lora_unet_a_processor_to_k_lora_down.weight", ("lora_unet_a_processor_to_k", "down")),
        ("lora_unet_lora_b_lora_mid_weight", ("lora_unet_lora_b", "mid")),
        ("lora_unet_a_lora_A.weight", ("lora_unet_a", "down")),
        ("lora_unet_a_lora_B_default_weight", ("lora_unet_a", "up")),
        ("lora_unet_a_lora_linear_layer_up.weight", ("lora_unet_a", "up")),
        ("a.b.lora.A.weight", ("a.b", "down")),
        ("a.b.lora_up", ("a.b", "up")),
        ("lora_unet_a_alpha", ("lora_unet_a", "alpha")),
        ("a.b.lora_alpha", ("a.b", "alpha")),
        ("lora_unet_a_hada_w1_a", ("lora_unet_a", "hada_w1_a")),
        ("lora_unet_a_hada.w1_a", ("lora_unet_a", "hada_w1_a")),
        ("lora_unet_a_lokr_w2", ("lora_unet_a", "lokr_w2")),
        ("lora_unet_a_lokr_w9", None),
        ("lora_unet_a_dora_scale", ("lora_unet_a", "dora_scale")),
        ("a_lora_up.weight ", None),
        ("a_lora_up_bias", None),
    ],
)
def test_split(key, expected):
    assert parts.split(key) == expected


@pytest.mark.parametrize(
    ("module", "is_text"),
    [("text_encoder:3", True), ("text_encoder.a", True), ("unet:3", False), ("unet.a", False)],
)
def test_whose_module_it_is(module, is_text):
    assert parts.is_text(module) is is_text


@pytest.mark.parametrize("key", ["a.b.oft_diag", "a.b.reshape_weight"])
def test_a_kind_that_cant_be_used_is_a_kind_and_no_part(key):
    assert isinstance(parts.split(key)[1], parts.Refused)
    assert not isinstance(parts.split("a.b.oft_blocks")[1], parts.Refused)


def test_what_is_left_is_grouped_by_what_it_is_and_why():
    left = [
        Left("b", "too new", What.LAYER, ("b.1",)),
        Left("a", "too new", What.LAYER, ("a.1", "a.2")),
        Left("b", "too new", What.TEXT, ("t",)),
        Left("c", "unknown", What.LAYER, ("c",)),
    ]
    assert grouped(left) == {
        (What.LAYER, "too new"): ["b", "a"],
        (What.TEXT, "too new"): ["b"],
        (What.LAYER, "unknown"): ["c"],
    }
