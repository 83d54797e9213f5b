"""Layers that no known network has, and names that FLUX shares with another."""

from __future__ import annotations

import pytest

from klora_core.names import is_open, strangers

QKV, WIDTH = "double_blocks.0.img_attn.qkv", 3072


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ((QKV, "single_blocks.0.linear1", "img_in"), ()),
        (("foo.bar", QKV, "my_net.blocks.0.attn"), ("foo.bar", "my_net.blocks.0.attn")),
        # Others' names of its blocks, which its table has not placed.
        ((QKV, "transformer_blocks.0.odd"), ("transformer_blocks.0.odd",)),
        ((QKV, "single_transformer_blocks.3.odd"), ("single_transformer_blocks.3.odd",)),
        ((QKV, "transformer_blocks.odd"), ()),
        # Of a network without a table they are its own.
        (("transformer_blocks.0.odd",), ()),
        (("input_blocks.1.0.in_layers.2", "down_blocks.0.odd"), ()),
        (("layers.3.self_attention.q", "layers.3.odd"), ("layers.3.odd",)),
        (("decoder.layers.0.x", "decoder.odd"), ("decoder.odd",)),
        ((), ()),
    ],
)
def test_layers_of_no_known_network(paths, found):
    assert strangers({path: (8, 8) for path in paths}) == found


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("transformer_blocks.0.attn.to_q",), True),
        (("transformer_blocks.0.attn.to_q", "foo.bar"), True),
        # FLUX's own, another's own, and names that FLUX has not.
        (("transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.attn.to_q"), False),
        (("transformer_blocks.0.attn.to_q", "transformer_blocks.0.img_mod.1"), False),
        (("foo.bar",), False),
        ((), False),
    ],
)
def test_names_that_flux_shares_with_others(paths, expected):
    assert is_open({path: (WIDTH, WIDTH) for path in paths}) is expected
