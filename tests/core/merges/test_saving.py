"""A merged LoRA as a file: what is read back is what was merged."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from klora_core import files
from klora_core.deltas import LowRank
from klora_core.errors import KLoraError
from klora_core.merges import merge, named
from klora_core.merges import saving as merge_file
from klora_core.names import Slot
from tests.support.merging import Row, dense, lora

QKV = "double_blocks.0.img_attn.qkv"


def made(deltas, weights=(1.0, 0.5)):
    """A merged LoRA of two equal parts of each delta."""
    table = [Row(slot, (delta, delta)) for slot, delta in deltas.items()]
    return merge(table, named("svd"), weights)


def close(a, b, tolerance):
    return float((a.double() - b.double()).norm()) <= tolerance * float(b.double().norm())


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-6), ("fp16", 1e-3), ("bf16", 8e-3)])
def test_read_back(tmp_path, dtype, tolerance):
    deltas = {
        Slot("input_blocks.4.1.transformer_blocks.0.attn1.to_q"): lora(20, 30, 4, 1),
        Slot("middle_block.1.proj_in"): lora(24, 16, 3, 2, size=1e-4),
    }
    merged = made(deltas)
    path = tmp_path / "merged.safetensors"
    merge_file.save(path, merged, ("cat", "ink"), dtype)
    back = files.read(path)
    assert back.slots.keys() == deltas.keys()
    for slot, delta in deltas.items():
        assert back.slots[slot].scale == 1.0
        assert close(dense(back.slots[slot]), 1.5 * dense(delta), tolerance)
    assert not back.left
    stored = load_file(path)
    assert {str(t.dtype) for key, t in stored.items() if "alpha" not in key} == {
        f"torch.{ {'fp32': 'float32', 'fp16': 'float16', 'bf16': 'bfloat16'}[dtype] }"
    }
    assert all(t.dtype == torch.float32 for key, t in stored.items() if "alpha" in key)


def test_powers_of_two_bring_factors_to_one_size_and_round_nothing():
    tiny = LowRank(torch.randn(20, 4) * 1e-7, torch.randn(4, 30) * 1e5)
    tensors = merge_file.state_dict({Slot("a.b"): tiny}, torch.float32)
    up, down = tensors["lora_unet_a_b.lora_up.weight"], tensors["lora_unet_a_b.lora_down.weight"]
    assert 0.2 < float(up.abs().max() / down.abs().max()) < 5
    ratio = up / tiny.up
    assert torch.equal(ratio, ratio[0, 0].expand_as(ratio))
    assert torch.equal(up @ down, tiny.up @ tiny.down)
    half = merge_file.state_dict({Slot("a.b"): tiny}, torch.float16)
    product = half["lora_unet_a_b.lora_up.weight"].double() @ half["lora_unet_a_b.lora_down.weight"].double()
    assert close(product, dense(tiny), 1e-3)


def test_pieces_of_a_fused_weight_become_one_module():
    pieces = {Slot(QKV, (16 * i, 16)): lora(16, 16, 2 + i, i) for i in range(3)}
    tensors = merge_file.state_dict(pieces)
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    up, down = tensors[f"{name}.lora_up.weight"], tensors[f"{name}.lora_down.weight"]
    assert (up.shape, down.shape, float(tensors[f"{name}.alpha"])) == ((48, 9), (9, 16), 9.0)
    assert close(up.double() @ down.double(), torch.cat([dense(d) for d in pieces.values()]), 1e-6)
    assert len(tensors) == 3


def test_rows_that_no_lora_changes_stay_zero():
    pieces = {Slot(QKV, (16, 16)): lora(16, 16, 2, 1)}
    tensors = merge_file.state_dict(pieces)
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    product = tensors[f"{name}.lora_up.weight"] @ tensors[f"{name}.lora_down.weight"]
    assert product.shape == (48, 16)
    assert not product[:16].any() and not product[32:].any()
    assert close(product[16:32], dense(pieces[Slot(QKV, (16, 16))]), 1e-6)


def test_a_fused_lora_that_was_cut_gets_its_rank_back():
    fused = lora(48, 16, 4, 1)
    pieces = {Slot(QKV, (at, 16)): fused.rows(at, 16) for at in (0, 16, 32)}
    tensors = merge_file.state_dict(pieces)
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    assert float(tensors[f"{name}.alpha"]) == 4
    product = tensors[f"{name}.lora_up.weight"].double() @ tensors[f"{name}.lora_down.weight"].double()
    assert close(product, dense(fused), 1e-6)


def test_height_of_a_fused_weight():
    linear1 = "single_blocks.3.linear1"
    part = {Slot(linear1, (0, 16)): lora(16, 16, 2, 1)}
    with pytest.raises(
        KLoraError, match=r"^Merge in ComfyUI.*: layer single_blocks\.3\.linear1: .*size is not known"
    ):
        merge_file.state_dict(part)
    known = merge_file.state_dict(part, shapes={linear1: (112, 16)})
    assert known["lora_unet_single_blocks_3_linear1.lora_up.weight"].shape == (112, 2)
    with pytest.raises(KLoraError, match="has 8 rows in the model and 16 in the LoRA"):
        merge_file.state_dict(part, shapes={linear1: (8, 16)})
    with pytest.raises(KLoraError, match="size is not known"):
        merge_file.state_dict({Slot(linear1, (32, 16)): lora(16, 16, 2, 1)})
    whole = {**part, Slot(linear1, (48, 64)): lora(64, 16, 2, 2)}
    assert merge_file.state_dict(whole)["lora_unet_single_blocks_3_linear1.lora_up.weight"].shape == (112, 4)


@pytest.mark.parametrize(
    ("weight", "parts", "height"),
    [
        ("blocks.0.cross_attn.kv_linear", [(0, 16)], 16),
        ("single_blocks.0.linear2", [(0, 16)], 16),
        ("blocks.0.linear1", [(0, 16)], 16),
        # Rows of its feed-forward tell how high FLUX's layer is.
        ("single_blocks.0.linear1", [(0, 16), (48, 16)], 64),
        ("blocks.0.attn.qkv", [(0, 16), (48, 16)], 64),
    ],
)
def test_a_fused_weight_is_as_high_as_its_parts_where_nothing_else_tells(weight, parts, height):
    tensors = merge_file.state_dict({Slot(weight, rows): lora(16, 16, 2, 1) for rows in parts})
    assert tensors[f"{merge_file.kohya(weight)}.lora_up.weight"].shape[0] == height


def test_a_change_of_nothing_is_saved_with_memory_of_its_own():
    down = torch.randn(2, 30)
    nothing = {Slot(f"a.{i}"): LowRank(torch.zeros(20, 2), down) for i in range(2)}
    one, other = (merge_file.state_dict(nothing)[f"lora_unet_a_{i}.lora_down.weight"] for i in range(2))
    assert torch.equal(one, down) and torch.equal(other, down)
    assert len({t.untyped_storage().data_ptr() for t in (one, other, down)}) == 3


def test_pieces_that_overlap_are_refused():
    a, b = lora(16, 16, 2, 1), lora(48, 16, 2, 2)
    for slots in ({Slot(QKV, (0, 16)): a, Slot(QKV, (8, 16)): a}, {Slot(QKV): b, Slot(QKV, (8, 16)): a}):
        with pytest.raises(KLoraError, match=f"layer {QKV} is changed twice"):
            merge_file.state_dict(slots)


def test_convolutions_get_their_kernel_back():
    slot, flat = Slot("input_blocks.3.0.op"), lora(12, 10 * 9, 2, 1)
    name = "lora_unet_input_blocks_3_0_op"
    known = merge_file.state_dict({slot: flat}, shapes={slot.weight: (12, 10, 3, 3)})
    assert known[f"{name}.lora_up.weight"].shape == (12, 2, 1, 1)
    assert known[f"{name}.lora_down.weight"].shape == (2, 10, 3, 3)
    loose = merge_file.state_dict({slot: flat})
    assert torch.equal(loose[f"{name}.lora_down.weight"], known[f"{name}.lora_down.weight"].flatten(1))
    back = files.from_tensors("x", known)
    assert close(dense(back.slots[slot]), dense(flat), 1e-6)
    in_time = merge_file.state_dict({slot: flat}, shapes={slot.weight: (12, 30, 3)})
    assert in_time[f"{name}.lora_down.weight"].shape == (2, 30, 3)
    with pytest.raises(KLoraError, match=r"is 12 x 90 in the LoRA and 12 x 8 x 3 x 3 in the model"):
        merge_file.state_dict({slot: flat}, shapes={slot.weight: (12, 8, 3, 3)})


def test_values_that_do_not_fit_are_refused(tmp_path):
    merged = made({Slot("a.b"): lora(20, 30, 4, 1, size=1e11)})
    with pytest.raises(KLoraError, match=r"^Save in bf16 .*: layer a\.b is too large for fp16\."):
        merge_file.save(tmp_path / "x.safetensors", merged, ("a", "b"), "fp16")
    assert not list(tmp_path.iterdir())
    merge_file.save(tmp_path / "x.safetensors", merged, ("a", "b"), "bf16")
    # Of types that no file is saved in too.
    endless = {Slot("a.b"): LowRank(torch.full((2, 1), torch.inf), torch.ones(1, 2))}
    with pytest.raises(KLoraError, match=r": layer a\.b is too large for torch\.float64\."):
        merge_file.state_dict(endless, torch.float64)


def test_two_layers_of_one_flat_name_are_refused():
    deltas = {Slot("a.b_c"): lora(4, 4, 1, 1), Slot("a.b.c"): lora(4, 4, 1, 2)}
    with pytest.raises(KLoraError, match=": two layers would be saved as lora_unet_a_b_c"):
        merge_file.state_dict(deltas)


def test_metadata(tmp_path):
    merged = made({Slot("a.b"): lora(20, 30, 4, 1), Slot("a.c"): lora(20, 30, 2, 1)})
    path = tmp_path / "x.safetensors"
    merge_file.save(path, merged, ("cat.safetensors", "ink.safetensors"))
    with safe_open(path, "pt") as file:
        header = file.metadata()
    assert header["format"] == "pt" and header["ss_network_module"] == "networks.lora"
    assert (header["ss_network_dim"], header["ss_network_alpha"]) == ("Dynamic", "Dynamic")
    assert header["ss_training_comment"] == "SVD merge: 1 cat.safetensors + 0.5 ink.safetensors"
    assert json.loads(header["klora_merge"]) == {
        "method": "svd",
        "paper": merged.method.paper,
        "parameters": {},
        "loras": [
            {"name": "cat.safetensors", "strength": 1.0, "role": "subject"},
            {"name": "ink.safetensors", "strength": 0.5, "role": "style"},
        ],
        "kept_energy": pytest.approx(1.0, abs=1e-6),
    }


def test_what_a_header_tells_of_a_rank_blocks_and_what_was_kept():
    one, two = (Row(Slot("a.b"), (lora(20, 30, 4, seed), lora(20, 30, 4, seed + 5))) for seed in (1, 2))
    cut = merge([one, two], named("svd"), (1.0, 1.0), rank=3)
    cut = replace(cut, blocks=("down: 0", ""))
    header = merge_file.metadata(cut, ("a", "b"))
    assert (header["ss_network_dim"], header["ss_network_alpha"]) == ("3", "3")
    recipe = json.loads(header["klora_merge"])
    assert recipe["kept_energy"] == round(cut.kept_energy(), 6) != round(cut.kept_energy(), 7)
    assert [lora_.get("blocks") for lora_ in recipe["loras"]] == ["down: 0", None]
    without = json.loads(merge_file.metadata(replace(cut, blocks=()), ("a", "b"))["klora_merge"])
    assert [list(lora_) for lora_ in without["loras"]] == [["name", "strength", "role"]] * 2


def test_trigger_words_of_several_loras_each_once():
    merged = made({Slot("a.b"): lora(4, 4, 1, 1)})
    texts = [{"trigger_words": '["ohwx", "hat"]'}, {"trigger_words": '["hat", "ink style"]'}]
    assert merge_file.metadata(merged, ("a", "b"), texts)[merge_file.TRIGGER] == "ohwx, hat, ink style"
    assert merge_file.TRIGGER not in merge_file.metadata(merged, ("a", "b"))


def test_a_file_has_names_kernels_and_words_of_what_it_was_made_of(tmp_path):
    path, conv = tmp_path / "x.safetensors", Slot("input_blocks.3.0.op")
    merge_file.save(path, made({conv: lora(12, 90, 2, 1)}), ("a", "b"), "fp32", {conv.weight: (12, 10, 3, 3)})
    assert load_file(path)["lora_unet_input_blocks_3_0_op.lora_down.weight"].shape[1:] == (10, 3, 3)
    open_ = made({Slot("transformer_blocks.0.attn.to_q"): lora(16, 16, 2, 1)})
    merge_file.save(path, open_, ("a", "b"), headers=[{"base_model": "mine"}, {"base_model": "theirs"}])
    with safe_open(path, "pt") as file:
        assert all(key.startswith("transformer.transformer_blocks.0.") for key in file.keys())  # noqa: SIM118
        assert file.metadata()["base_model"] == "mine"


def test_a_folder_whose_name_is_no_utf8(tmp_path):
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9")))
    folder.mkdir()
    merged = made({Slot("a.b"): lora(20, 30, 4, 1)})
    merge_file.save(folder / "x.safetensors", merged, ("a", "b"), "fp32")
    back = files.read(folder / "x.safetensors")
    assert close(dense(back.slots[Slot("a.b")]), 1.5 * dense(lora(20, 30, 4, 1)), 1e-6)
    assert back.metadata["klora_merge"] == merge_file.metadata(merged, ("a", "b"))["klora_merge"]


def test_a_folder_that_safetensors_can_t_take(tmp_path, monkeypatch):
    """Older versions; the file is the same."""

    def refuse(tensors, path, header):
        "\udce9".encode()

    merged = made({Slot("a.b"): lora(20, 30, 4, 1)})
    merge_file.save(tmp_path / "one.safetensors", merged, ("a", "b"))
    monkeypatch.setattr(merge_file, "save_file", refuse)
    merge_file.save(tmp_path / "other.safetensors", merged, ("a", "b"))
    one, other = (files.read(tmp_path / f"{name}.safetensors") for name in ("one", "other"))
    assert one.metadata == other.metadata and "klora_merge" in one.metadata
    assert torch.equal(one.slots[Slot("a.b")].dense(), other.slots[Slot("a.b")].dense())


@pytest.mark.parametrize("lost", [None, torch.tensor(3.0)])
def test_what_a_disk_does_not_keep_is_said(tmp_path, monkeypatch, lost):
    def save(tensors, path, header):
        kept = {key: lost if key.endswith("alpha") else tensor for key, tensor in tensors.items()}
        save_file({key: tensor for key, tensor in kept.items() if tensor is not None}, path, header)

    monkeypatch.setattr(merge_file, "save_file", save)
    words = r"^Check the disk: x\.safetensors: lora_unet_a_b\.alpha was not stored as it is"
    with pytest.raises(KLoraError, match=words):
        merge_file.save(tmp_path / "x.safetensors", made({Slot("a.b"): lora(20, 30, 4, 1)}), ("a", "b"))
    assert not list(tmp_path.iterdir())


def test_a_layer_that_would_be_read_as_another_is_refused(tmp_path):
    """Lumina's values are rows of one weight in ComfyUI; no module of this name is its own."""
    merged = made({Slot("layers.3.attention.to_v"): lora(20, 30, 4, 1)})
    words = (
        r"^Merge in ComfyUI, .*: x\.safetensors: layer layers\.3\.attention\.to_v would not be found in it"
    )
    with pytest.raises(KLoraError, match=words):
        merge_file.save(tmp_path / "x.safetensors", merged, ("a", "b"))
    assert not list(tmp_path.iterdir())


def test_files_that_can_not_be_written(tmp_path):
    merged = made({Slot("a.b"): lora(20, 30, 4, 1)})
    for name, dtype, message in (
        ("x.ckpt", "fp16", "ends in .safetensors"),
        ("x.safetensors", "int4", "unknown dtype 'int4'"),
        ("no/such/x.safetensors", "fp16", "Choose a folder that exists"),
    ):
        with pytest.raises(KLoraError, match=message) as caught:
            merge_file.save(tmp_path / name, merged, ("a", "b"), dtype)
        assert "\n" not in str(caught.value)
