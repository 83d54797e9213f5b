"""What a file's header alone tells: sizes of changes by names and shapes, and its metadata."""

import pytest
import torch
from safetensors.torch import save_file

from klora_core.files import changes, from_tensors, read, read_header
from tests.core.names.test_numbered import NEW, order
from tests.support.headers import KEYS, TEXTS, hostile

UNET, MIDDLE = "diffusion_model.", "middle_block.1.transformer_blocks.0"


def key(layer: str, part: str) -> str:
    return f"{UNET}{MIDDLE}.{layer}.{part}"


def test_the_size_of_each_kind_of_change():
    shapes = {
        key("attn1.to_q", "lora_B.weight"): (8, 2),
        key("attn1.to_q", "lora_A.weight"): (2, 6),
        key("attn1.to_q", "alpha"): (),
        key("attn1.to_q", "diff_b"): (8,),
        key("attn1.to_k", "lora_up.weight"): (4, 2, 1, 1),
        key("attn1.to_k", "lora_down.weight"): (2, 3, 3, 3),
        key("attn1.to_v", "lokr_w1"): (2, 3),
        key("attn1.to_v", "lokr_w2"): (4, 5),
        key("attn2.to_q", "diff"): (7, 9),
        key("attn2.to_k", "lora_B.weight"): (5, 2),
        key("attn2.to_k", "lora_A.weight"): (2, 4),
        key("attn2.to_k", "lora_gate"): (1, 2),
        # Nothing of that size is made.
        key("attn2.to_v", "lora_B.weight"): (5, 2**45),
        key("attn2.to_v", "lora_A.weight"): (2**45, 4),
    }
    assert changes(shapes) == {
        f"{MIDDLE}.attn1.to_q": (8, 6),
        f"{MIDDLE}.attn1.to_k": (4, 27),
        f"{MIDDLE}.attn1.to_v": (8, 15),
        f"{MIDDLE}.attn2.to_q": (7, 9),
        f"{MIDDLE}.attn2.to_k": (5, 4),
        f"{MIDDLE}.attn2.to_v": (5, 4),
    }


def test_layers_that_are_told_by_number():
    layers = list(order(NEW))
    shapes = {f"unet:{i}:up": (out, 4) for i, (_, out, _) in enumerate(layers)}
    shapes |= {f"unet:{i}:down": (4, n) for i, (_, _, n) in enumerate(layers)}
    assert changes(shapes) == {path: (out, n) for path, out, n in layers}


def test_the_parts_of_a_fused_layer():
    block = "transformer_blocks.0.attn"
    shapes = {f"{block}.to_qkv.lora_B.weight": (24, 2), f"{block}.to_qkv.lora_A.weight": (2, 8)}
    assert changes(shapes) == {f"{block}.{name}": (8, 8) for name in ("to_q", "to_k", "to_v")}


def test_what_has_no_size_is_left_out():
    shapes = {
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": (8, 2),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (2, 6),
        key("attn1.to_q", "lora_B.weight"): (8, 2),  # its counterpart is missing
        key("attn1.to_k", "oft_blocks"): (2, 4, 4),  # an OFT tells no inputs
        key("attn1.to_v", "bias"): (8,),
        key("attn2.to_q", "oft_R.weight"): (4, 2, 2),  # of kinds that can't be used
        key("attn2.to_k", "oft_diag"): (4, 0, 0),
        key("attn2.to_v", "vera_lambda_b"): (8,),
        **{key("ff.net.2", part): (8, 2) for part in ("lora_B.weight", "reshape_weight")},
        "no_adapter.weight": (3, 3),
    }
    assert changes(shapes) == {}


def test_shapes_and_metadata_of_a_file(tmp_path):
    there, bare = tmp_path / "there.safetensors", tmp_path / "bare.safetensors"
    save_file({"up": torch.zeros(8, 2), "alpha": torch.tensor(4.0)}, there, {"ss_network_dim": "2"})
    save_file({"up": torch.zeros(3)}, bare)
    assert read_header(there) == ({"up": (8, 2), "alpha": ()}, {"ss_network_dim": "2"})
    assert read_header(bare) == ({"up": (3,)}, {})


def test_what_cannot_be_read_tells_nothing(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"no header")
    assert read_header(tmp_path / "broken.safetensors") == ({}, {})
    assert read_header(tmp_path / "missing.safetensors") == ({}, {})


def test_sizes_that_no_tensor_has_tell_nothing():
    shapes = {}
    for layer, size in (("attn1.to_q", (1,) * 70), ("attn1.to_k", (2**62, 2**62)), ("attn1.to_v", (-1, 4))):
        shapes |= {key(layer, "lora_B.weight"): size, key(layer, "lora_A.weight"): size[::-1]}
    good = {key("attn2.to_k", "lora_B.weight"): (5, 2), key("attn2.to_k", "lora_A.weight"): (2, 4)}
    assert changes(shapes | good).get(f"{MIDDLE}.attn2.to_k") == (5, 4)


@pytest.mark.parametrize("text", TEXTS)
def test_a_lora_loads_whatever_its_header_says(tmp_path, text):
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{layer}.lora_down.weight": torch.ones(2, 2048),
        f"{layer}.lora_up.weight": torch.ones(640, 2),
    }
    bare = from_tensors("a", tensors)
    for place in KEYS:
        path = tmp_path / "a.safetensors"
        save_file(tensors, path, hostile(place, text))
        file = read(path)
        assert file.base_model == bare.base_model is not None
        assert [slot.name for slot in file.slots] == [slot.name for slot in bare.slots]
        assert all(note.isprintable() for note in file.notes)
