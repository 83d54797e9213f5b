"""Both doors give a LoRA's modules the same slots: the core's tables of names against the host's key maps."""

from __future__ import annotations

import comfy.lora
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.text_encoders.anima
import comfy.text_encoders.flux
import comfy.text_encoders.hydit
import comfy.text_encoders.pixart_t5
import comfy.text_encoders.sd2_clip
import comfy.text_encoders.sd3_clip
import pytest
import torch

from klora_core import names
from klora_core.names import Slot, layout_of
from tests.support.host.networks import NETWORKS, network
from tests.support.host.nodes import part

PREFIXES = (
    *("unet.base_model.model.", "base_model.model.", "diffusion_model.", "transformer.", "unet."),
    *("lora_prior_unet_", "lora_transformer_", "lora_unet_", "lycoris_"),
)
ENCODERS = {
    "sd1": comfy.sd1_clip.SD1ClipModel,
    "sd2": comfy.text_encoders.sd2_clip.SD2ClipModel,
    "sdxl": comfy.sdxl_clip.SDXLClipModel,
    "cascade": comfy.sdxl_clip.StableCascadeClipModel,
    "sd3": comfy.text_encoders.sd3_clip.SD3ClipModel,
    "flux": comfy.text_encoders.flux.FluxClipModel,
    "hydit": comfy.text_encoders.hydit.HyditModel,
    "anima": comfy.text_encoders.anima.AnimaTEModel,
    "pixart": comfy.text_encoders.pixart_t5.PixArtT5XXL,
}


def _by_spelling(pack, model):
    """The host's names of linear and convolution layers, by prefix: raw -> (place, shape)."""
    host_names = part(pack, "nodes.host.names")
    shapes = {name: host_names.layer_shape(module) for name, module in model.named_modules()}
    found: dict[str, dict] = {}
    for raw, target in comfy.lora.model_lora_keys_unet(model, {}).items():
        key, offset, function = (
            target
            if isinstance(target, tuple) and len(target) == 3
            else ((*target, None) if isinstance(target, tuple) else (target, None, None))
        )
        shape = shapes.get(key.removesuffix(".weight")) if key.endswith(".weight") else None
        if shape is None:
            continue
        rows = None if offset is None else offset[1:]
        slot = Slot(key.removeprefix("diffusion_model.").removesuffix(".weight"), rows)
        prefix = next((prefix for prefix in PREFIXES if raw.startswith(prefix)), "")
        size = shape if rows is None else (rows[1], shape[1])
        found.setdefault(prefix, {})[raw] = names.Placed(slot, function is not None), size
    return found


@pytest.mark.parametrize("family", NETWORKS)
def test_every_spelling_of_the_host_is_the_cores(pack, family):
    spellings = _by_spelling(pack, network(family))
    assert {"diffusion_model.", "lora_unet_"} <= spellings.keys()
    for modules in spellings.values():
        base = layout_of({names.module(raw)[0]: size for raw, (_, size) in modules.items()})
        for raw, (place, size) in modules.items():
            assert names.place(names.module(raw)[0], size, base) == place, raw
            assert not names.is_text_encoder(raw), raw


@pytest.mark.parametrize("family", NETWORKS)
def test_spellings_that_the_host_lacks_are_found_by_the_tables(pack, family):
    """PEFT's and kohya's names of every layer, whether the host's key map has them or not."""
    model = network(family)
    host_network = part(pack, "nodes.host.names").Network(model)
    for prefix, modules in _by_spelling(pack, model).items():
        for raw, (place, size) in modules.items():
            path = raw.removeprefix(prefix)
            spellings = {raw, f"transformer.{path}", f"base_model.model.{path}"} if "." in path else {raw}
            for spelling in spellings:
                found = host_network.target(spelling, size)
                assert found is not None, spelling
                assert found.key == f"diffusion_model.{place.slot.weight}.weight", spelling
                assert (found.offset and found.offset[1:]) == place.slot.rows, spelling
                assert (found.function is not None) == place.swap_halves, spelling


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_text_encoder_of_the_host_is_known_as_one(encoder):
    model = ENCODERS[encoder](device="meta", dtype=torch.float16)
    keys = comfy.lora.model_lora_keys_clip(model, {})
    assert len(keys) > 300
    assert [key for key in keys if not names.is_text_encoder(key)] == []
