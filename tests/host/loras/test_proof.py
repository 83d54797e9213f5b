"""What proves that tensors still hold what they held, so that nothing is read, and what does not."""

from __future__ import annotations

import os
import time

import folder_paths
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.support.host.nodes import part

KEY = "unet.a.lora_up.weight"


def content(seed):
    rng = torch.Generator().manual_seed(seed)
    return {KEY: torch.randn(40, 300, generator=rng), "unet.a.lora_down.weight": torch.randn(300, 40)}


@pytest.fixture
def proof(pack, monkeypatch):
    """The module, for which files are at rest at once."""
    module = part(pack, "nodes.loras.proof")
    monkeypatch.setattr(module, "TOO_RECENT", 0)
    return module


@pytest.fixture
def reads(proof, monkeypatch):
    """Whether each of two calls reads the tensors; what it gives is what they hold."""
    calls, own = [], proof.contents
    monkeypatch.setattr(proof, "contents", lambda tensors: calls.append(tensors) or own(tensors))

    def of(lora):
        told = []
        for _ in range(2):
            calls.clear()
            assert proof.contents_of(list(lora.values())) == own(lora.values())
            told.append(len(calls) == 1)
        return tuple(told)

    return of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    return tmp_path


@pytest.fixture
def load(pack, folder):
    """Saves a LoRA and loads it as the nodes do, a while later."""

    def of(name, seed):
        save_file(content(seed), folder / name)
        rest()
        return part(pack, "nodes.loras").load(name)

    return of


def rest():
    """Longer than a file's times are coarse."""
    time.sleep(0.03)


def in_place(path, seed):
    """Overwrite it with as many bytes, and give it the time that it had."""
    before, other = path.stat(), path.with_suffix(".other")
    save_file(content(seed), other)
    rest()
    with open(path, "r+b") as file:
        file.write(other.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


READ_ONCE, NOT_READ, READ_EACH_TIME = (True, False), (False, False), (True, True)


def test_a_file_at_rest_is_read_once(load, reads):
    lora = load("a.safetensors", 1)
    assert not any(tensor.is_inference() for tensor in lora.values())
    assert reads(lora) == READ_ONCE
    assert reads(dict(lora)) == NOT_READ, "whatever holds the same tensors"
    assert reads(load("b.safetensors", 2)) == READ_ONCE


def test_a_file_that_has_just_changed_is_read_again(load, reads, proof, monkeypatch):
    monkeypatch.setattr(proof, "TOO_RECENT", 2_000_000_000)
    lora = load("a.safetensors", 1)
    assert reads(lora) == READ_EACH_TIME
    now = time.time_ns()
    monkeypatch.setattr(proof.time, "time_ns", lambda: now + 3_000_000_000)
    assert reads(lora) == READ_ONCE


def test_a_file_that_is_overwritten_in_place_is_read_again(load, reads, folder):
    lora = load("a.safetensors", 1)
    assert reads(lora) == READ_ONCE
    in_place(folder / "a.safetensors", 2)
    assert reads(lora) == READ_EACH_TIME


def test_a_file_that_is_replaced_is_read_again(load, reads, folder):
    lora = load("a.safetensors", 1)
    assert reads(lora) == READ_ONCE
    path, stamp = folder / "a.safetensors", (folder / "a.safetensors").stat()
    save_file(content(2), folder / "b.safetensors")
    os.replace(folder / "b.safetensors", path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert reads(lora) == READ_EACH_TIME, "the file there is not the one that is mapped"


def test_a_file_that_is_gone_is_read_again(load, reads, folder):
    lora = load("a.safetensors", 1)
    assert reads(lora) == READ_ONCE
    (folder / "a.safetensors").unlink()
    assert reads(lora) == READ_EACH_TIME


def test_where_changes_have_no_time_files_are_read_again(load, reads, proof):
    lora = load("a.safetensors", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof.os, "name", "nt")
        told = reads(lora)
    assert told == READ_EACH_TIME
    assert reads(lora) == READ_ONCE


def test_each_file_of_a_dict_counts(load, reads, folder):
    both = {f"{i}.{key}": t for i in (1, 2) for key, t in load(f"{i}.safetensors", i).items()}
    assert reads(both) == READ_ONCE
    in_place(folder / "2.safetensors", 3)
    assert reads(both) == READ_EACH_TIME


def own():
    """Tensors in memory that count what is written into them."""
    with torch.inference_mode(False):
        return content(1)


WRITES = {
    "mul_": lambda tensor: tensor.mul_(2),
    "an element": lambda tensor: tensor[0].__setitem__(0, 5.0),
    "out": lambda tensor: torch.add(tensor, 1, out=tensor),
    "a view": lambda tensor: tensor.view(-1)[3:].zero_(),
    "foreach": lambda tensor: torch._foreach_mul_([tensor], 2.0),
    "data": lambda tensor: tensor.data.mul_(2),
    "numpy": lambda tensor: np.multiply(tensor.numpy(), 2, out=tensor.numpy()),
    "storage": lambda tensor: tensor.untyped_storage().fill_(7),
    "other storage": lambda tensor: tensor.set_(torch.zeros(40, 300)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("where", ["file", "memory"])
def test_a_tensor_that_is_written_to_is_read_again(load, reads, where, write):
    lora = load("a.safetensors", 1) if where == "file" else own()
    assert reads(lora) == READ_ONCE
    write(lora[KEY])
    assert reads(lora)[0]


def test_another_tensor_in_the_dict_is_read(load, reads):
    for lora in (load("a.safetensors", 1), own()):
        assert reads(lora) == READ_ONCE
        kept = lora[KEY]
        with torch.inference_mode(False):
            lora[KEY] = kept.clone()
        assert reads(lora) == READ_ONCE
        lora[KEY] = kept
        assert reads(lora) == NOT_READ
        del lora[KEY]
        assert reads(lora) == READ_ONCE


def of_another_loader(folder):
    save_file(content(1), folder / "other.safetensors")
    with safe_open(folder / "other.safetensors", "pt") as file:
        return {KEY: file.get_tensor(KEY)}


UNKNOWN = {
    "of inference mode": lambda folder: {KEY: torch.ones(3, 4)},
    "mapped by another": of_another_loader,
    "of numpy": lambda folder: {KEY: torch.from_numpy(np.ones((3, 4)))},
    "shared with processes": lambda folder: {KEY: torch.ones(3, 4).share_memory_()},
    "known to NumPy": lambda folder: (tensor := torch.ones(3, 4)).numpy() is not None and {KEY: tensor},
    "of strides": lambda folder: {KEY: torch.ones(3, 4).T},
}


@pytest.mark.parametrize("make", UNKNOWN.values(), ids=UNKNOWN)
def test_what_may_be_written_unseen_is_read_each_time(reads, folder, make):
    with torch.inference_mode(make is UNKNOWN["of inference mode"]):
        lora = make(folder)
    assert reads(lora) == READ_EACH_TIME
    with torch.inference_mode(False):
        assert reads({**own(), "other": lora[KEY]}) == READ_EACH_TIME
