"""LoRA files that torch.save wrote: read as safetensors files are, and nothing in them runs."""

from __future__ import annotations

import argparse
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.files import What, is_torch_file, read_torch

R = torch.randn
LAYER = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
GOOD = {f"{LAYER}.lora_up.weight": R(8, 2), f"{LAYER}.lora_down.weight": R(2, 6)}


class Evil:
    """What makes a folder where it is unpickled."""

    folder = ""

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".BIN", ".pkl", ".safetensors", ""])
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_it_is_what_the_same_tensors_are_in_safetensors(tmp_path, suffix, new, dtype):
    tensors = {key: tensor.to(dtype) for key, tensor in GOOD.items()}
    tensors[f"{LAYER}.alpha"] = torch.tensor(1.0)
    torch.save(tensors, tmp_path / f"a{suffix}", _use_new_zipfile_serialization=new)
    save_file(tensors, tmp_path / "b.safetensors")
    one, other = (files.read(tmp_path / name) for name in (f"a{suffix}", "b.safetensors"))
    assert one.applied == other.applied == set(tensors) and not one.left
    assert one.name == f"a{suffix}"
    for slot, delta in other.slots.items():
        assert [t.dtype for t in one.slots[slot].tensors] == [t.dtype for t in delta.tensors]
        assert torch.equal(one.slots[slot].dense(), delta.dense())


def test_safetensors_under_another_name(tmp_path):
    save_file(GOOD, tmp_path / "a.bin")
    assert not is_torch_file(tmp_path / "a.bin")
    assert len(files.read(tmp_path / "a.bin").slots) == 1


@pytest.mark.parametrize(
    ("stored", "left"),
    [
        ({"state_dict": GOOD}, []),
        ({"state_dict": OrderedDict(GOOD), "epoch": 3, "args": {"lr": 0.1}}, ["epoch", "args"]),
        ({"lora": GOOD}, []),
        ({"model": {"state_dict": GOOD}, "step": 5}, ["step"]),
        ({**GOOD, "step": 5, "note": "text", "none": None, 7: R(1)}, ["step", "note", "none", "7"]),
        ({key: torch.nn.Parameter(tensor) for key, tensor in GOOD.items()}, []),
    ],
)
def test_state_dicts_in_others_and_what_is_no_tensor(tmp_path, stored, left):
    torch.save(stored, tmp_path / "a.ckpt")
    found = files.read(tmp_path / "a.ckpt")
    assert len(found.slots) == 1 and found.applied == set(GOOD)
    assert [item.name for item in found.left] == left
    assert all(item.reason == "no tensor" and item.what is What.TENSOR for item in found.left)
    assert [item.keys for item in found.left] == [(name,) for name in left]


@pytest.mark.parametrize("alpha", [1.0, 1])
def test_an_alpha_may_be_a_plain_number(tmp_path, alpha):
    torch.save({**GOOD, f"{LAYER}.alpha": alpha}, tmp_path / "a.pt")
    (delta,) = files.read(tmp_path / "a.pt").slots.values()
    assert delta.scale == 0.5


@pytest.mark.parametrize("alpha", [True, 1e9, -1e9, float("inf"), float("nan"), 10**400, "1"])
def test_an_alpha_that_is_no_such_number_is_left(tmp_path, alpha):
    torch.save({**GOOD, f"{LAYER}.alpha": alpha}, tmp_path / "b.pt")
    assert [item.name for item in files.read(tmp_path / "b.pt").left] == [f"{LAYER}.alpha"]


def test_an_alpha_of_several_numbers_is_refused_as_in_safetensors(tmp_path):
    torch.save({**GOOD, f"{LAYER}.alpha": torch.ones(2)}, tmp_path / "a.pt")
    with pytest.raises(KLoraError, match=r"^Download .*: a\.pt: layer .* alpha has 2 values"):
        files.read(tmp_path / "a.pt")


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_what_was_saved_on_a_gpu_opens_without_one(tmp_path, monkeypatch, new):
    with monkeypatch.context() as patched:
        patched.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(GOOD, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    found = read_torch(tmp_path / "a.pt").tensors
    assert all(torch.equal(found[key], tensor) for key, tensor in GOOD.items())


def test_a_file_of_some_size_whose_tensors_share_memory(tmp_path):
    large = torch.zeros(400_000)
    torch.save({"a": large, "b": large}, tmp_path / "a.pt")
    assert [t.numel() for t in read_torch(tmp_path / "a.pt").tensors.values()] == [400_000] * 2


def test_a_list_is_the_first_format(tmp_path):
    pairs = [tensor for _ in range(3) for tensor in (R(8, 2), R(2, 8))]
    torch.save(pairs, tmp_path / "a.pt")
    torch.save(pairs, tmp_path / "a.text_encoder.pt")
    for name, network in (("a.pt", "unet"), ("a.text_encoder.pt", "text_encoder")):
        found = read_torch(tmp_path / name).tensors
        assert list(found) == [f"{network}:{i}:{part}" for i in range(3) for part in ("up", "down")]
        assert all(map(torch.equal, found.values(), pairs))


def test_tensors_are_plain_and_have_memory_of_their_own(tmp_path):
    whole = R(6, 6)
    views = {"a": whole[:2], "b": whole[2:], "c": whole.T, "d": whole[:, 1:3], "e": whole}
    torch.save(views | {"f": torch.nn.Parameter(R(3))}, tmp_path / "a.pt")
    found = read_torch(tmp_path / "a.pt").tensors
    assert len({tensor.untyped_storage().data_ptr() for tensor in found.values()}) == len(found)
    for name, tensor in found.items():
        assert type(tensor) is torch.Tensor and tensor.is_contiguous() and not tensor.requires_grad
        assert name == "f" or torch.equal(tensor, views[name])
    save_file(found, tmp_path / "b.safetensors")
    torch.save({"a": whole[:, :2]}, tmp_path / "c.pt")
    (alone,) = read_torch(tmp_path / "c.pt").tensors.values()
    assert alone.is_contiguous() and torch.equal(alone, whole[:, :2])


@pytest.mark.parametrize("stored", [{**GOOD, "extra": Evil()}, Evil(), [Evil()], {"a": argparse.Namespace()}])
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_nothing_in_it_runs(tmp_path, monkeypatch, stored, new):
    monkeypatch.setattr(Evil, "folder", str(tmp_path / "ran"))
    # Which turns torch's own default off.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save(stored, tmp_path / "evil.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(
        KLoraError, match=r"hoose the \.safetensors file .*: evil\.pt: .*could run code.*not opened"
    ) as caught:
        files.read(tmp_path / "evil.pt")
    assert str(caught.value).isprintable() and not (tmp_path / "ran").exists()
    assert (" (" in str(caught.value)) is new
    if new:
        assert "(posix.mkdir)" in str(caught.value) or "(argparse.Namespace)" in str(caught.value)


def test_three_of_the_objects_in_it_are_named(tmp_path):
    made = [
        argparse.Namespace(),
        argparse.ArgumentParser,
        argparse.FileType,
        zipfile.ZipFile,
        tarfile.TarFile,
    ]
    torch.save({**GOOD, "odd": made}, tmp_path / "evil.pt")
    names = "argparse.ArgumentParser, argparse.FileType, argparse.Namespace"
    with pytest.raises(KLoraError, match=rf"beside its tensors \({names}\), which could run code"):
        files.read(tmp_path / "evil.pt")


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_file_that_was_cut_off(tmp_path, new):
    path = tmp_path / "cut.bin"
    torch.save(GOOD, path, _use_new_zipfile_serialization=new)
    whole = path.read_bytes()
    for size in (0, 3, 9, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(KLoraError, match=r"^Download .* again.*: cut\.bin: "):
            files.read(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_what_is_no_torch_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "packed.bin", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", "a" * 100)
    with zipfile.ZipFile(tmp_path / "zip.bin", "w") as file:
        file.writestr("a.txt", "a" * 100)
    (tmp_path / "text.ckpt").write_text("no numbers")
    (tmp_path / "pickle.pkl").write_bytes(pickle.dumps({"a": [1, 2]}))
    (tmp_path / "inner").write_text("inside")
    with tarfile.open(tmp_path / "tar.pt", "w") as file:
        file.add(tmp_path / "inner", "sys_info")
    for begins, words in (
        ("Unpack the archive, and choose the LoRA file in it: packed.bin", "is a packed archive"),
        ("Download the file again, .*: zip.bin", "is no complete torch file"),
        ("Download the file again, .*: text.ckpt", "is no complete torch file"),
        ("Download the file again, .*: pickle.pkl", "is no complete torch file"),
        ("Download the file again, .*: tar.pt", "is no complete torch file"),
    ):
        with pytest.raises(KLoraError, match=f"^{begins}: {words}"):
            files.read(tmp_path / begins.rpartition(": ")[2])
    for stored in (5, "text", R(3), [], {}, [R(3)], {"a": 5}, {"a": {"b": {"c": {"d": GOOD}}}}):
        torch.save(stored, tmp_path / "other.pt")
        with pytest.raises(KLoraError, match=r"^[A-Z].*: other\.pt: .*"):
            files.read(tmp_path / "other.pt")


def test_few_bytes_that_stand_for_billions_of_numbers(tmp_path):
    torch.save({f"{LAYER}.diff": torch.zeros(1).expand(1 << 20, 1 << 16)}, tmp_path / "bomb.pt")
    with pytest.raises(KLoraError, match=r"^Download .*: bomb\.pt: says that it holds more numbers than fit"):
        files.read(tmp_path / "bomb.pt")


@pytest.mark.parametrize("tensor", [torch.eye(4).to_sparse(), torch.empty(2, 2, device="meta")])
def test_tensors_of_torchs_own_forms(tmp_path, tensor):
    torch.save({**GOOD, "odd": tensor}, tmp_path / "a.pt")
    with pytest.raises(KLoraError, match=r"^Choose .*: a\.pt: odd is stored in a form of torch"):
        files.read(tmp_path / "a.pt")
