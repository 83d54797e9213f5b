"""What is said where a LoRA and a model do not belong together: both by name, or names that nobody knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.host.lora_accounts import lora, patcher
from tests.support.host.networks import NETWORKS
from tests.support.host.nodes import part

_NAMES = {
    **{"sd15": "SD1.5", "sdxl": "SDXL", "sd35": "SD3", "flux": "FLUX", "chroma": "Chroma", "flux2": "FLUX.2"},
    **{"z_image": "Z-Image", "lumina2": "Lumina 2", "wan_i2v": "Wan", "wan_vace": "Wan", "ltxav": "LTX-2"},
    **{"hunyuan_image": "HunyuanImage", "hunyuan_video15": "HunyuanVideo 1.5", "anima": "Anima"},
    **{"cosmos_predict2": "Cosmos Predict 2", "cogvideox15_i2v": "CogVideoX", "qwen_image": "Qwen-Image"},
}


@pytest.mark.parametrize("network", NETWORKS)
def test_every_model_has_a_name(pack, network):
    model = patcher(network)
    found = part(pack, "nodes.host.base_model").of_model(model)
    assert found == _NAMES.get(network, found) and "not known" not in found
    assert part(pack, "nodes.host.base_model").of_model(model.model) == found


def test_a_model_that_is_not_known_is_called_by_its_class(pack):
    of_model = part(pack, "nodes.host.base_model").of_model
    assert of_model(torch.nn.Linear(1, 1)) == "a model that is not known here (Linear)"


def refused(pack, tensors, network):
    with pytest.raises(ValueError, match=r"^Choose [^:]+: odd\.safetensors: ") as caught:
        part(pack, "nodes.loras.read").read(tensors, "odd.safetensors", patcher(network), None)
    return str(caught.value)


def test_a_lora_of_another_base_model_is_called_by_both_names(pack):
    text = refused(pack, lora("diffusion_model.double_blocks.3.img_attn.qkv", 18432, 6144), "sd15")
    assert text.startswith("Choose a LoRA made for SD1.5: odd.safetensors: made for another base model")
    assert "none of its 1 layers exists in this model (SD1.5)" in text
    assert "another base model (FLUX.2 LoRA, SD1.5 checkpoint)" in text


def test_a_layer_of_another_size_names_both_too(pack):
    at = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k"
    text = refused(pack, lora(at, 320, 1024), "sd15")
    assert "another base model (SD2 or Stable Video Diffusion LoRA, SD1.5 checkpoint)" in text


def test_a_lora_that_may_be_of_two_base_models_is_no_stranger_to_either(pack):
    """Attention layers alone are those of FLUX and of Chroma."""
    layers = ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.attn.to_q")
    tensors = {}
    for name in layers:
        tensors |= lora(f"transformer.{name}", 256, 256)
    for network in ("flux", "chroma"):
        model = patcher(network)
        found = part(pack, "nodes.loras.read").read(tensors, "odd.safetensors", model, None)

        def said(*names, found=found, model=model):
            base = part(pack, "klora_core.names").BaseModel(names)
            of = part(pack, "nodes.model.warnings").warnings_for
            return of(model, [replace(found, base_model=base)], ["odd.safetensors"], ["subject"])

        assert said("FLUX", "Chroma") == ()
        (line,) = said("SDXL")
        assert line.startswith("subject was made for SDXL, the model is ")


def test_names_that_nobody_knows_are_shown(pack):
    tensors = {}
    for i in range(5):
        tensors |= lora(f"mystery.part_{i}.thing", 8, 8)
    text = refused(pack, tensors, "sd15")
    shown = "'mystery.part_0.thing', 'mystery.part_1.thing', 'mystery.part_2.thing'"
    assert f"names its layers in a way that is not known here: {shown}." in text
    assert "another base model" not in text and "part_3" not in text
