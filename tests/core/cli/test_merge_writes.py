"""The command ``merge``: what is written takes a place whole, or nothing does."""

from __future__ import annotations

import errno

import pytest
from safetensors.torch import save_file

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.merges import saving

from .test_merge import run


@pytest.mark.parametrize("kind", ["same", "relative", "symbolic", "hard"])
def test_an_output_that_is_an_input(unet, tmp_path, monkeypatch, kind):
    cat, before = unet[0], unet[0].read_bytes()
    monkeypatch.chdir(tmp_path)
    out = {"same": cat, "relative": "./cat.safetensors"}.get(kind, tmp_path / "link.safetensors")
    if kind == "symbolic":
        out.symlink_to(cat)
    elif kind == "hard":
        out.hardlink_to(cat)
    for order in (unet, unet[::-1]):
        with pytest.raises(KLoraError, match="is one of the files that are read"):
            run(*order, "-o", out)
    assert cat.read_bytes() == before


def test_a_failure_to_write_leaves_the_older_file(unet, tmp_path, monkeypatch):
    out = tmp_path / "out.safetensors"
    out.write_text("old")
    there = sorted(tmp_path.iterdir())

    def full(tensors, path, header):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saving, "save_file", full)
    with pytest.raises(
        KLoraError, match=r"^Free some space on the disk.*: can't write .*out\.safetensors: No space left"
    ):
        run(*unet, "-o", out)
    assert out.read_text() == "old" and sorted(tmp_path.iterdir()) == there


def test_what_is_not_stored_as_it_is_takes_no_place(unet, tmp_path, monkeypatch):
    out = tmp_path / "out.safetensors"
    out.write_text("old")
    first = {"lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight"}
    for spoil in (
        lambda tensors: {key: t * (2 if key in first else 1) for key, t in tensors.items()},
        lambda tensors: {key: t for key, t in tensors.items() if key not in first},
    ):
        monkeypatch.setattr(
            saving,
            "save_file",
            lambda tensors, path, header, spoil=spoil: save_file(spoil(tensors), path, header),
        )
        with pytest.raises(KLoraError, match="was not stored as it is"):
            run(*unet, "-o", out)
        assert out.read_text() == "old"


def test_a_folder_with_a_name_that_is_no_utf8(unet, tmp_path):
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    run(*unet, "-o", folder / "out.safetensors")
    assert files.read(folder / "out.safetensors").slots and len(list(folder.iterdir())) == 1
