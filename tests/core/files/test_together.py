"""Files that meet: where their modules belong, whose spelling holds, and which sizes go together."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.files import Settling
from klora_core.names import Slot

R = torch.randn
BLOCK = "transformer.transformer_blocks.0.attn"
SINGLE = "transformer.single_transformer_blocks.0.attn.to_q"
QKV = "double_blocks.0.img_attn.qkv"


def lora(module, out=8, n=8):
    return {f"{module}.lora_B.weight": R(out, 2), f"{module}.lora_A.weight": R(2, n)}


def of(name, *layers, metadata=None, **options):
    tensors = {key: tensor for layer in layers for key, tensor in layer.items()}
    return files.from_tensors(name, tensors, metadata, **options)


def test_where_each_module_belongs_and_how_high_fused_weights_are():
    found = of("a", lora(SINGLE), lora(f"{BLOCK}.to_k"), lora("transformer.norm_out.linear", 16))
    assert found.placed == {
        SINGLE.removeprefix("transformer."): Slot("single_blocks.0.linear1", (0, 8)),
        "transformer_blocks.0.attn.to_k": Slot(QKV, (8, 8)),
        "norm_out.linear": Slot("final_layer.adaLN_modulation.1"),
    }
    assert found.heights == {QKV: 24}


def test_a_flattened_name_of_rows_of_a_fused_weight():
    flat = lora("lora_transformer_single_transformer_blocks_0_attn_to_k")
    up, down = flat.values()
    ((slot, delta),) = of("a", flat).slots.items()
    assert slot == Slot("single_blocks.0.linear1", (8, 8)) and torch.equal(delta.dense(), up @ down)


def test_of_grouped_queries_the_keys_tell_the_height():
    """Of queries alone it is guessed that there are as many keys."""
    attention = "diffusion_model.layers.3.attention"
    assert of("a", lora(f"{attention}.to_q")).heights == {"layers.3.attention.qkv": 24}
    both = of("a", lora(f"{attention}.to_q"), lora(f"{attention}.to_k", 4))
    assert both.heights == {"layers.3.attention.qkv": 16}


@pytest.mark.parametrize(("out", "order"), [(4, [2, 3, 0, 1]), (6, [3, 4, 5, 0, 1, 2])])
def test_halves_that_change_places(out, order):
    assert files.swap_order(out).tolist() == order
    (delta,) = of("a", lora("a.b", out, 5)).slots.values()
    assert torch.equal(files.swapped(delta).dense(), delta.dense()[order])


def test_a_layer_under_the_names_of_two_networks_is_there_twice():
    with pytest.raises(
        KLoraError, match=r"^Save the LoRA again .*: a: layer img_in is there twice, in two spellings"
    ):
        of("a", lora(SINGLE), lora("transformer.x_embedder"), lora("diffusion_model.img_in"))


def test_the_first_of_two_spellings_holds():
    flat = of("flat", lora("lora_unet_new_net_3_odd_part_to_q"))
    one = of("one", lora("diffusion_model.new_net.3.odd_part.to_q"))
    two = of("two", lora("diffusion_model.new.net.3.odd_part.to_q"))
    other = of("other", lora("diffusion_model.new_net.4.odd_part.to_q"))
    names = {"one": "new_net.3.odd_part.to_q", "two": "new.net.3.odd_part.to_q"}
    for order in ((flat, one, two), (two, flat, one), (one, two, flat), (other, flat, two), (flat,)):
        first = next((names[file.name] for file in order if file.name in names), "new.net.3.odd.part.to_q")
        found = {file.name: file for file in files.settle(order)}["flat"]
        assert list(found.slots) == [Slot(first)]


def test_what_several_leave_open_one_settles():
    unsure = [of(name, lora(f"{BLOCK}.to_{name}")) for name in "kv"]
    assert [list(file.slots)[0].rows for file in unsure] == [None, None]
    found = files.settle([*unsure, of("flux", lora(QKV, 24))])
    assert [slot for file in found for slot in file.slots] == [
        Slot(QKV, (8, 8)),
        Slot(QKV, (16, 8)),
        Slot(QKV),
    ]


def test_files_that_meet_often_are_settled_once():
    loras = [
        of("a", lora(f"{BLOCK}.to_k")),
        of("b", lora(QKV, 24)),
        of("c", lora("double_blocks.1.img_attn.qkv", 24)),
    ]
    folder = Settling(loras)
    once = folder.together([0, 1])
    assert folder.together([0, 1])[0] is once[0] and folder.together([2, 0])[1] is once[0]
    assert [file.name for file in folder.together([2, 0])] == ["c", "a"]
    (alone,) = folder.together([0])
    assert alone is not once[0] and list(alone.slots) == [Slot("transformer_blocks.0.attn.to_k")]


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        # Rows of a fused weight lie in it, whichever comes first.
        (lora(f"{BLOCK}.to_v"), lora(QKV, 24), True),
        (lora(f"{BLOCK}.to_v"), lora(QKV, 25), True),
        (lora(f"{BLOCK}.to_v"), lora(QKV, 23), False),
        (lora(f"{BLOCK}.to_v"), lora(QKV, 24, 9), False),
        (lora(f"{BLOCK}.to_v"), lora(f"{BLOCK}.to_q"), True),
        (lora(f"{BLOCK}.to_v"), lora(f"{BLOCK}.to_q", 8, 9), False),
        (lora(QKV, 24), lora(QKV, 24), True),
        (lora(QKV, 24), lora(QKV, 25), False),
        (lora(QKV, 24), lora(QKV, 24, 9), False),
        (lora(QKV, 24), lora("double_blocks.1.img_attn.qkv", 25), True),
    ],
)
def test_which_sizes_go_together(one, other, fit):
    pair = [of("one", lora(SINGLE), one), of("other", lora(SINGLE), other)]
    third = of("third", lora("single_blocks.1.linear2"))
    for order in (pair, pair[::-1], [pair[0], third, pair[1]]):
        if fit:
            assert len(files.settle(order)) == len(order)
        else:
            with pytest.raises(KLoraError, match="different base models"):
                files.settle(order)


TO_K = "input_blocks.4.1.transformer_blocks.0.attn2.to_k"
SD1, SD2 = {"ss_base_model_version": "sd_v1"}, {"ss_base_model_version": "sd_v2"}


@pytest.mark.parametrize(
    ("layer", "sizes", "headers", "named"),
    [
        (TO_K, (768, 2048), (None, None), " (SD1.5 LoRA, SDXL or SSD-1B or Segmind Vega LoRA)"),
        ("odd.part", (4, 5), (SD1, SD2), " (SD1.5 LoRA, SD2 LoRA)"),
        ("odd.part", (4, 5), (SD1, SD1), ""),
        ("odd.part", (4, 5), (SD1, None), ""),
        ("odd.part", (4, 5), (None, SD1), ""),
        ("odd.part", (4, 5), (None, None), ""),
    ],
)
def test_what_is_said_of_two_sizes(layer, sizes, headers, named):
    pair = [
        of(name, lora(layer, 640, n), metadata=header)
        for name, n, header in zip(("a", "b"), sizes, headers, strict=True)
    ]
    with pytest.raises(KLoraError) as raised:
        files.settle(pair)
    assert str(raised.value) == (
        f"Use LoRAs of the same base model: layer {layer} is 640 x {sizes[0]} in a and 640 x {sizes[1]} in "
        f"b: they were trained on different base models{named}."
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_what_waits_for_a_model(tmp_path, suffix):
    dora = {**lora(TO_K), f"{TO_K}.dora_scale": R(8, 1), **lora("student.layers.0.odd")}
    path = tmp_path / f"a{suffix}"
    (torch.save if suffix == ".pt" else save_file)(dora, path)
    found = files.read(path, for_model=True)
    assert list(found.waiting) == [TO_K] and list(found.modules) == ["student.layers.0.odd"]
    assert found.waiting[TO_K].label == "DoRA" and found.shapes[TO_K] == (8, 8)
    again = files.from_tensors("a", dora, for_model=True)
    assert not found.slots and not again.slots and again.waiting[TO_K].label == "DoRA"
    assert set(again.keys[TO_K]) == {key for key in dora if key.startswith(TO_K)}
    for reader in (files.read, files.open_lora, lambda path: files.read_all([path])):
        with pytest.raises(KLoraError, match=rf"^Use .*: a{suffix}: layer {TO_K} is DoRA"):
            reader(path)


def test_names_of_a_known_network_behind_others_wait_for_a_model_too():
    with pytest.raises(KLoraError, match="a way that is not known here"):
        of("a", lora(f"student.{QKV}", 24))
    assert list(of("a", lora(f"student.{QKV}", 24), for_model=True).modules) == [f"student.{QKV}"]


def test_a_change_that_waits_is_there_twice_too():
    dora = {f"{name}.dora_scale": R(8, 1) for name in (TO_K, "lora_unet_" + TO_K.replace(".", "_"))}
    with pytest.raises(KLoraError, match="two spellings"):
        of("a", lora(TO_K), lora("lora_unet_" + TO_K.replace(".", "_")), dora, for_model=True)


def test_kernels_of_convolutions_and_what_is_restored():
    conv = {
        "lora_unet_out_2.lora_up.weight": R(4, 2, 1, 1),
        "lora_unet_out_2.lora_down.weight": R(2, 8, 3, 3),
    }
    found = of("a", conv, lora(TO_K), lora("lora_te_text_model_encoder_layers_0_mlp_fc1"))
    assert found.kernels == {"out.2": (4, 8, 3, 3)} and found.guessed == {"out.2"}
    assert found.shapes == {"out.2": (4, 72), TO_K: (8, 8)}


def test_what_the_header_says_is_kept_and_used():
    header = {"lora_adapter_metadata": '{"lora_alpha": 4}'}
    found = of("a", lora(TO_K), metadata=header)
    assert (found.metadata, found.keys[TO_K]) == (header, tuple(sorted(lora(TO_K))))
    assert found.slots[Slot(TO_K)].scale == 2.0
    assert found.notes == ("scale (alpha / rank) from the file's metadata: 4 / 2 in 1 layer",)


@pytest.mark.parametrize(
    ("tensors", "what"),
    [
        (lora("lora_te_text_model_encoder_layers_0_mlp_fc1"), "only the text encoder"),
        ({"out.0.diff": R(8)}, "no weight matrix of the diffusion model"),
    ],
)
def test_what_changes_nothing_here(tensors, what):
    with pytest.raises(KLoraError) as raised:
        of("a", tensors)
    assert str(raised.value) == f"Choose another LoRA: changes {what}, so there is nothing to fuse."
