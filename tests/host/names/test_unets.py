"""klora_core's table of U-Nets has the modules of the host's classes, in both spellings, and no others."""

from __future__ import annotations

import re

import comfy.supported_models
import comfy.utils
import pytest

from klora_core.names.bases.builds.unet import UNETS as BUILDS_OF_CORE
from tests.support.families.builds import BUILDS
from tests.support.host.nodes import part
from tests.support.names.unets import UNETS, summary

# What the table leaves out: the ends, what differs between inpainting and other models of one build, an
# embedding of classes, and what Stable Video Diffusion has over time beside attention.
UNTOLD = re.compile(
    r"input_blocks_0_0|out_2|conv_(in|out)|label_emb|class_embedding_linear_[12]|\w+_time_pos_embed_[02]"
    r"|\w+_time_stack_((in|emb|out)_layers_\d|\d_ff_in_\w+)"
)
# The host has no names of diffusers' for these.
OVER_TIME = "_temporal_transformer_blocks_"

BY_BUILD = dict(zip(UNETS, BUILDS_OF_CORE, strict=True))


def own_and_others(pack, build):
    """[out, n] of each layer by its flattened name, in the host's spelling and in that of diffusers."""
    kind, config = BUILDS[build]
    model = getattr(comfy.supported_models, kind)(dict(config)).get_model({}, "", device="meta")
    layer_shape = part(pack, "nodes.host.names").layer_shape
    own = {
        f"{name}.weight": shape
        for name, layer in model.diffusion_model.named_modules()
        if (shape := layer_shape(layer))
    }
    others = comfy.utils.unet_to_diffusers(model.model_config.unet_config)
    every = own | {theirs: own[ours] for theirs, ours in others.items() if ours in own}
    return {name.removesuffix(".weight").replace(".", "_"): shape for name, shape in every.items()}


@pytest.mark.parametrize("build", UNETS)
def test_the_table_has_the_hosts_modules(pack, build):
    unet = BY_BUILD[build]
    theirs = {
        name: shape for name, shape in own_and_others(pack, build).items() if not UNTOLD.fullmatch(name)
    }
    ours = {name: shape for name, shape in unet.modules.items() if OVER_TIME not in name}
    assert ours == theirs
    assert summary(unet.modules) == UNETS[build]
