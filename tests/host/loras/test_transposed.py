"""Transposed convolutions: their weight is [in, out, kernel...], so that its rows are no outputs."""

from __future__ import annotations

import comfy.lora
import comfy.model_patcher
import comfy.ops
import pytest
import torch

from tests.support.host.lora_accounts import notes_of
from tests.support.host.networks import network
from tests.support.host.nodes import part

R = torch.randn
# In the place of a layer of the tiny network; its own inputs and outputs as large as each other, or not.
LAYER, OTHER = "input_blocks.3.0.op", "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
UP_DOWN = {f"{OTHER}.lora_up.weight": R(32, 2), f"{OTHER}.lora_down.weight": R(2, 32)}


@pytest.fixture(params=[(32, 48), (32, 32), (48, 32)])
def transposed(pack, request):
    base = network("sd15")
    ops = comfy.ops.disable_weight_init
    base.diffusion_model.input_blocks[3][0].op = ops.ConvTranspose2d(*request.param, 2, device="meta")
    device = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(base, load_device=device, offload_device=device), request.param


@pytest.mark.parametrize("name", [f"diffusion_model.{LAYER}", f"lora_unet_{LAYER.replace('.', '_')}"])
def test_a_full_difference_of_its_size_is_applied(pack, transposed, name):
    model, channels = transposed
    diff = R(*channels, 2, 2)
    lora = {**UP_DOWN, f"{name}.diff": diff, f"{name}.diff_b": R(channels[1])}
    found = part(pack, "nodes.loras.read").read(lora, "a", model, None)
    assert [slot.weight for slot in found.slots] == [OTHER] and not found.left
    assert found.applied == set(lora)
    biases, patches = notes_of(pack, found)
    assert "1 bias or norm tensor, applied" in biases
    assert "1 patch of layers" in patches and "transposed convolutions), applied" in patches
    assert LAYER in patches
    weight, key = R(*channels, 2, 2), f"diffusion_model.{LAYER}.weight"
    patch = [(0.5, found.vectors[key], 1.0, None, None)]
    torch.testing.assert_close(comfy.lora.calculate_weight(patch, weight.clone(), key), weight + 0.5 * diff)


def test_a_difference_of_another_size_is_named(pack, transposed):
    model, channels = transposed
    lora = {**UP_DOWN, f"diffusion_model.{LAYER}.diff": R(7, *channels[1:], 2, 2)}
    (left,) = part(pack, "nodes.loras.read").read(lora, "a", model, None).left
    assert left.keys == (f"diffusion_model.{LAYER}.diff",) and "sizes do not fit" in left.reason
