"""LoRAs in networks other than UNets, and the files that the loader opens."""

from __future__ import annotations

import os

import folder_paths
import pytest
import torch
from safetensors.torch import save_file

from tests.support.host.lora_accounts import accounted, lora, moved, notes_of, patcher
from tests.support.host.nodes import part, unet_pair

R = torch.randn


@pytest.fixture(scope="module")
def subject(_sd15):
    return unet_pair(_sd15.model.model)[0]


def test_a_flux_lora_on_chroma_names_the_layers_that_chroma_lacks(pack):
    absent = ("time_text_embed.timestep_embedder.linear_1", "norm_out.linear")
    size = {absent[0]: (256, 256), absent[1]: (512, 256)}
    tensors = {}
    for name in ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.attn.to_k"):
        tensors |= lora(f"transformer.{name}", 256, 256)
    for name in absent:
        tensors |= lora(f"transformer.{name}", *size[name])
    found = accounted(pack, tensors, patcher("chroma"))
    assert {slot.name for slot in found.slots} == {
        "double_blocks.0.img_attn.qkv[0:256]",
        "single_blocks.0.linear1[256:512]",
    }
    assert set(found.unknown) == {f"transformer.{name}" for name in absent}
    assert found.vectors == {}


def test_a_bias_of_split_flux_goes_to_its_rows(pack, flux_model):
    width = flux_model.model.diffusion_model.hidden_size
    name, bias = "transformer.transformer_blocks.0.attn.to_k", R(width)
    found = accounted(pack, {**lora(name, width, width), f"{name}.diff_b": bias}, flux_model)
    key = "diffusion_model.double_blocks.0.img_attn.qkv.bias"
    weight = flux_model.model.state_dict()[key].float()
    expected = torch.cat((torch.zeros(width), bias, torch.zeros(width)))
    torch.testing.assert_close(moved(found.vectors, weight, key), expected, rtol=1e-2, atol=1e-2)
    swapped = "transformer.norm_out.linear"
    both = R(2 * width)
    tensors = {**lora(swapped, 2 * width, width), f"{swapped}.diff_b": both}
    found = accounted(pack, tensors, flux_model)
    key = "diffusion_model.final_layer.adaLN_modulation.1.bias"
    weight = torch.zeros(2 * width)
    torch.testing.assert_close(moved(found.vectors, weight, key), both.roll(width), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "before", "competing"),
    [
        ("anima", "llm_adapter.blocks.0.self_attn.q_proj", "blocks.0.self_attn.q_proj"),
        (
            "ltxav",
            "video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q",
            "transformer_blocks.0.attn1.to_q",
        ),
        ("minimax_h3", "token_refiner.blocks.0.attn.qkv_proj", "blocks.0.attn.qkv_proj"),
    ],
)
def test_layers_that_run_before_sampling_do_not_compete(pack, family, before, competing):
    model = patcher(family)
    shape_of = part(pack, "nodes.host.names").layer_shape
    tensors = {}
    for name in (before, competing):
        name = f"diffusion_model.{name}"
        tensors |= lora(name, *shape_of(model.model.get_submodule(name)))
    found = accounted(pack, tensors, model)
    assert [slot.weight for slot in found.slots] == [competing]
    assert list(found.before) == [f"diffusion_model.{before}.weight"]
    assert set(model.clone().add_patches(found.before, 1.0)) == set(found.before)
    (line,) = notes_of(pack, found)
    assert "run before sampling" in line and "ordinary patch at strength 0.7" in line and before in line
    (line,) = notes_of(pack, found, keep=False)
    assert "dropped" in line


def test_renamed_tensors_keep_the_names_of_the_file(pack):
    """The host renames Wan Fun's keys; what is left over is called as in the file."""
    at = "lora_unet__blocks_0_cross_attn_k"
    tensors = {**lora(at, 256, 256), "lora_unet__nobody.odd": R(1), "lora_unet__blocks_0_norm1.diff_b": R(3)}
    found = accounted(pack, tensors, patcher("wan"))
    assert [slot.name for slot in found.slots] == ["blocks.0.cross_attn.k"]
    assert {item.name for item in found.left} == {"lora_unet__nobody.odd", "lora_unet__blocks_0_norm1"}


@pytest.fixture
def loras_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    return tmp_path


def test_the_loader_keeps_the_metadata_and_opens_any_name(pack, loras_folder, subject):
    load = part(pack, "nodes.loras.file").load
    save_file(subject, loras_folder / "plain.safetensors", metadata={"ss_network_dim": "6"})
    assert load("plain.safetensors").metadata == {"ss_network_dim": "6"}
    save_file(subject, loras_folder / "bare.safetensors")
    assert load("bare.safetensors").metadata == {}
    folder = os.fsencode(loras_folder)
    os.rename(os.path.join(folder, b"plain.safetensors"), os.path.join(folder, b"caf\xe9.safetensors"))
    name = os.fsdecode(b"caf\xe9.safetensors")
    found = load(name)
    assert len(found) == len(subject) and found.metadata == {"ss_network_dim": "6"}
    assert (
        part(pack, "nodes.loras.file").name_of(found, "subject") == "caf\N{REPLACEMENT CHARACTER}.safetensors"
    )


def test_names_of_files_reach_no_terminal_as_commands(pack, loras_folder):
    (loras_folder / "evil\x1b[2J.safetensors").write_bytes(b"nothing at all")
    with pytest.raises(ValueError, match=r"evil\\x1b\[2J") as caught:
        part(pack, "nodes.loras.file").load("evil\x1b[2J.safetensors")
    assert str(caught.value).isprintable()
