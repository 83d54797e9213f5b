"""The first LoRA format in the host: layers by number, and names that were converted by hand."""

from __future__ import annotations

import json

import comfy.utils
import pytest
import torch

from tests.support.host.lora_accounts import accounted, notes_of, patcher

R = torch.randn
CLASSES = ("CrossAttention", "Attention", "GEGLU")


@pytest.fixture(scope="module")
def model():
    """SD 1.5 with a tenth of its width."""
    return patcher("sd15")


def layers(model):
    """(diffusers' name, the host's name, weight's shape) of the attention layers, in the format's order."""
    theirs = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    shapes = {key: tuple(weight.shape) for key, weight in model.model.diffusion_model.state_dict().items()}
    blocks = [f"down_blocks.{level}.attentions.{i}" for level in range(3) for i in range(2)]
    blocks += [f"up_blocks.{level}.attentions.{i}" for level in (1, 2, 3) for i in range(3)]
    attention = ("to_q", "to_k", "to_v", "to_out.0")
    for block in (*blocks, "mid_block.attentions.0"):
        inner = (
            [f"attn1.{part}" for part in attention] + ["ff.net.0.proj"] + [f"attn2.{p}" for p in attention]
        )
        for name in inner:
            path = f"{block}.transformer_blocks.0.{name}"
            weight = theirs[f"{path}.weight"]
            yield path, weight.removesuffix(".weight"), shapes[weight]


def test_each_number_is_its_layer_of_the_model(pack, model):
    lora = type("Lora", (dict,), {})()
    expected = {}
    for i, (_, weight, (out, n)) in enumerate(layers(model)):
        up, down = R(out, 1), R(1, n)
        lora |= {f"unet:{i}:up": up, f"unet:{i}:down": down}
        expected[weight] = up @ down
    lora["<cat>"] = R(8)
    lora.metadata = {"unet": json.dumps(CLASSES), "<cat>": "<embed>"}
    found = accounted(pack, lora, model)
    assert {slot.name for slot in found.slots} == set(expected) and len(expected) == 144
    for slot, delta in found.slots.items():
        torch.testing.assert_close(delta.dense(), expected[slot.name])
    assert str(found.base_model) == "SD1.5"
    (line,) = notes_of(pack, found)
    assert "1 tensor, NOT applied" in line and "word's embedding" in line and "<cat>" in line


def test_its_text_encoder_is_applied_to_clip(pack, sd15):
    numbered, named = {}, {}
    parts = ("k_proj", "v_proj", "q_proj", "out_proj")
    first = next(iter(layers(sd15.model)), None)
    for i in range(48):
        up, down = R(768, 1), R(1, 768)
        numbered |= {f"text_encoder:{i}:up": up, f"text_encoder:{i}:down": down}
        key = f"lora_te_text_model_encoder_layers_{i // 4}_self_attn_{parts[i % 4]}"
        named |= {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}
    path, _, (out, n) = first
    unet = {f"unet.{path}.lora_B.weight": R(out, 1), f"unet.{path}.lora_A.weight": R(1, n)}
    found, expected = (accounted(pack, {**unet, **text}, sd15.model, sd15.clip) for text in (numbered, named))
    assert found.clip.keys() == expected.clip.keys() and found.clip
    for key, patch in found.clip.items():
        assert all(map(torch.equal, patch.weights[:2], expected.clip[key].weights[:2]))


HAND = (
    ("lora_unet_unet_{}_lora_down.weight", "lora_unet_unet_{}_lora_up.weight"),
    ("unet_unet_{}_lora_linear_layer_down.weight", "unet_unet_{}_lora_linear_layer_up.weight"),
    ("unet_{}_lora_A_default.weight", "unet_{}_lora_B_default.weight"),
    ("lora_unet_{}_lora_down.weight", "lora_unet_{}_lora_up.weight"),
    ("lora_unet_{}_lora_A_weight", "lora_unet_{}_lora_B_weight"),
    ("lora_unet_{}_lora_down.weight", "lora_unet_{}.lora_up.weight"),
)


@pytest.mark.parametrize("spelling", HAND)
@pytest.mark.parametrize("processor", [False, True])
def test_names_that_were_converted_by_hand(pack, model, spelling, processor):
    lora, expected = {}, {}
    for path, weight, (out, n) in layers(model):
        if processor:
            path = path.replace(".to_", ".processor.to_").removesuffix(".0")
        flat = path.replace(".", "_")
        down, up = (name.format(flat) for name in spelling)
        lora |= {down: R(2, n), up: R(out, 2), f"{down.partition(flat)[0]}{flat}_alpha": torch.tensor(1.0)}
        expected[weight] = lora[up] @ lora[down] / 2
    found = accounted(pack, lora, model)
    assert {slot.name for slot in found.slots} == set(expected) and not found.left
    for slot, delta in found.slots.items():
        torch.testing.assert_close(delta.dense(), expected[slot.name])


@pytest.mark.parametrize("head", ["lora_te_text_encoder_", "lora_te1_text_encoder_", "text_encoder_"])
@pytest.mark.parametrize("down", ["_lora_down.weight", "_lora_A.weight", "_lora_linear_layer_down_weight"])
def test_text_layers_that_were_converted_by_hand_are_applied_to_clip(pack, sd15, head, down):
    path, _, (out, n) = next(layers(sd15.model))
    raw = f"{head}text_model_encoder_layers_0_self_attn_q_proj"
    lora = {f"unet.{path}.lora_B.weight": R(out, 1), f"unet.{path}.lora_A.weight": R(1, n)}
    up = down.replace("down", "up").replace("_A", "_B")
    found = accounted(pack, {**lora, raw + down: R(1, 768), raw + up: R(768, 1)}, sd15.model, sd15.clip)
    (key,) = found.clip
    assert key.endswith("text_model.encoder.layers.0.self_attn.q_proj.weight") and not found.left
