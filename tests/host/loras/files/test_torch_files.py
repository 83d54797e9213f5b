"""LoRA files that torch.save wrote, through both doors: read alike or refused alike; nothing in them runs."""

from __future__ import annotations

import argparse
import os
import time

import folder_paths
import pytest
import torch
from safetensors.torch import save_file

from klora_core import files
from tests.support.host.nodes import fuse, part

R = torch.randn
LAYER = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
GOOD = {f"{LAYER}.lora_up.weight": R(320, 2), f"{LAYER}.lora_down.weight": R(2, 320)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A loras folder with the suffixes that the host's own has."""
    entry = ([str(tmp_path)], folder_paths.supported_pt_extensions)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", entry)
    folder_paths.filename_list_cache.pop("loras", None)
    return tmp_path


@pytest.fixture
def load(pack, folder):
    return part(pack, "nodes.loras").load


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.pth", "a.ckpt", "a.pkl", "a.BIN", "caf\udce9.pt"])
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_every_suffix_of_the_folder_is_loaded(load, folder, name, new):
    torch.save({**GOOD, "step": 5}, folder / name, _use_new_zipfile_serialization=new)
    assert name in folder_paths.get_filename_list("loras")
    found = load(name)
    assert found.keys() == GOOD.keys() and found.file == name and found.metadata == {}
    assert [item.name for item in found.left] == ["step"]
    for key, tensor in found.items():
        assert torch.equal(tensor, GOOD[key]) and not tensor.is_inference()
        assert type(tensor) is torch.Tensor and tensor.is_contiguous()


def test_safetensors_under_another_name_and_torch_under_its(load, folder):
    save_file(GOOD, folder / "a.bin", metadata={"ss_network_dim": "2"})
    assert load("a.bin").keys() == GOOD.keys() and load("a.bin").metadata == {"ss_network_dim": "2"}
    torch.save(GOOD, folder / "b.safetensors")
    assert load("b.safetensors").keys() == GOOD.keys()


def test_a_pair_in_torch_files_has_the_plan_of_the_same_in_safetensors(pack, load, folder, sd15, pair):
    loras = {}
    for name, tensors in zip(("cat", "ink"), pair, strict=True):
        tensors = {key: tensor.clone() for key, tensor in tensors.items()}
        save_file(tensors, folder / f"{name}.safetensors")
        torch.save({"state_dict": tensors, "epoch": 1}, folder / f"{name}.ckpt")
        loras[name] = load(f"{name}.safetensors"), load(f"{name}.ckpt")
    plain, own = (fuse(pack, sd15.model, *each) for each in zip(*loras.values(), strict=True))
    assert own.plan.slots == plain.plan.slots and own.plan.method == plain.plan.method
    assert "1 tensor, NOT applied: no tensor: epoch" in own.report


class Evil:
    folder = ""

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def cut(path, part):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])


MADE = {
    "nested": lambda path: torch.save({"model": {"state_dict": GOOD}}, path),
    "parameters": lambda path: torch.save({k: torch.nn.Parameter(t) for k, t in GOOD.items()}, path),
    "code": lambda path: torch.save({**GOOD, "a": Evil()}, path),
    "old code": lambda path: torch.save({**GOOD, "a": Evil()}, path, _use_new_zipfile_serialization=False),
    "objects": lambda path: torch.save({"state_dict": GOOD, "args": argparse.Namespace()}, path),
    "a number": lambda path: torch.save(5, path),
    "a tensor": lambda path: torch.save(R(3), path),
    "no lora": lambda path: torch.save({"conv.weight": R(3, 3)}, path),
    "text": lambda path: path.write_text("nothing"),
    "nothing": lambda path: path.write_bytes(b""),
    "a bomb": lambda path: torch.save({f"{LAYER}.diff": torch.zeros(1).expand(1 << 20, 1 << 16)}, path),
    "sparse": lambda path: torch.save({f"{LAYER}.diff": torch.eye(4).to_sparse()}, path),
    "cut": lambda path: (torch.save(GOOD, path), cut(path, 0.5)),
    "cut at its end": lambda path: (torch.save(GOOD, path), cut(path, 0.99)),
    "old and cut": lambda path: (
        torch.save(GOOD, path, _use_new_zipfile_serialization=False),
        cut(path, 0.5),
    ),
}


def test_what_the_page_is_told_is_what_the_outputs_say(pack, folder):
    load, beside = part(pack, "nodes").KLoRALoadLora.execute, part(pack, "nodes.loras.info").beside
    key = "lora_unet_input_blocks_7_1_transformer_blocks_9_attn2_to_k"
    sdxl = {f"{key}.lora_up.weight": R(1280, 2), f"{key}.lora_down.weight": R(2, 2048)}
    for name, new in (("a.bin", True), ("b.pt", False)):
        torch.save(sdxl, folder / name, _use_new_zipfile_serialization=new)
        assert load(name).result[1:] == ("", "SDXL")
        assert beside(name, "", "") == {"trigger_words": "", "base_model": "SDXL"}
    torch.save(5, folder / "c.pt")
    assert beside("c.pt", "", "") == {"trigger_words": "", "base_model": ""}


@pytest.mark.parametrize("kind", MADE)
def test_both_doors_read_alike_or_refuse_alike(load, folder, monkeypatch, kind):
    monkeypatch.setattr(Evil, "folder", str(folder / "ran"))
    MADE[kind](folder / "a.pt")
    said = []
    for door in (lambda: load("a.pt"), lambda: files.read(folder / "a.pt")):
        try:
            said.append(door())
        except ValueError as error:
            assert type(error).__name__ == "KLoraError", repr(error)
            assert "a.pt" in str(error) and str(error).isprintable()
            said.append(error)
    refused = [isinstance(each, ValueError) for each in said]
    assert refused[0] == refused[1] == (kind not in ("nested", "parameters")), said
    if refused[0]:
        what = said[0].why.partition("'a.pt' ")[2]
        assert what[:20] and what[:20] in said[1].why and said[0].do == said[1].do
    assert not (folder / "ran").exists()


def test_a_file_that_rests_is_not_read_again_and_one_that_changed_is(pack, load, folder, monkeypatch):
    proof = part(pack, "nodes.loras.proof")
    monkeypatch.setattr(proof, "TOO_RECENT", 0)
    calls, own = [], proof.contents
    monkeypatch.setattr(proof, "contents", lambda tensors: calls.append(1) or own(tensors))
    torch.save(GOOD, folder / "a.pt")
    time.sleep(0.03)
    lora = load("a.pt")
    stamp = part(pack, "nodes").KLoRALoadLora.fingerprint_inputs("a.pt")
    for _ in range(3):
        proof.contents_of(list(lora.values()))
    assert len(calls) == 1
    torch.save({key: tensor * 2 for key, tensor in GOOD.items()}, folder / "a.pt")
    time.sleep(0.03)
    assert part(pack, "nodes").KLoRALoadLora.fingerprint_inputs("a.pt") != stamp
    proof.contents_of(list(lora.values()))
    assert len(calls) == 2
