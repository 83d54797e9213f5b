"""The published U-Nets' modules, against what the host's own classes have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from klora_core.names.bases.builds.blueprint import line
from klora_core.names.bases.builds.unet import UNETS as BUILDS
from tests.support.names.unets import UNETS, summary

BY_BUILD = dict(zip(UNETS, BUILDS, strict=True))


@pytest.mark.parametrize("build", UNETS)
def test_a_unet_has_the_modules_of_the_hosts_class(build):
    # A new one: what an older one was asked for it keeps.
    assert summary(replace(BY_BUILD[build]).modules) == UNETS[build]


MIDDLE = "mid_block.attentions.0.transformer_blocks.0.attn1"


@pytest.mark.parametrize(
    ("path", "shape", "has"),
    [
        (f"{MIDDLE}.to_q", (1280, 1280), True),
        # A name that lacks the last number; a change that does not know its inputs.
        (f"{MIDDLE}.to_out", (1280, 1280), True),
        (f"{MIDDLE}.to_q", (1280, 0), True),
        (f"{MIDDLE}.to_q", (1280, 1), False),
        (f"{MIDDLE}.to_q", (640, 1280), False),
        # A block's attention that it has not is another network's.
        (f"{MIDDLE}.odd", (8, 8), False),
        ("input_blocks.11.1.transformer_blocks.0.attn1.to_q", (1280, 1280), False),
        ("down_blocks.0.odd", (8, 8), None),
    ],
)
def test_what_a_unet_has(path, shape, has):
    (sd15, *_) = BUILDS
    assert sd15.has(line(path, shape)) is has
