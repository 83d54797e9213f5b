"""LoRAs that others published, where KLORA_REAL_LORAS names a folder of them; none is in this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from klora_core import files
from klora_core.files import What

FOLDER = os.environ.get("KLORA_REAL_LORAS", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KLORA_REAL_LORAS is not set")


def found(name):
    """The file of that name, in the folder or below it."""
    path = next(Path(FOLDER or ".").rglob(name), None)
    if path is None:
        pytest.skip(f"{name} is not there")
    return path


def same(one, other):
    return one.slots.keys() == other.slots.keys() and all(
        torch.equal(delta.up, other.slots[slot].up) and torch.equal(delta.down, other.slots[slot].down)
        for slot, delta in one.slots.items()
    )


def test_names_converted_by_hand_are_those_that_they_were_made_of():
    """timohavdk/sd-lora"""
    by_hand = files.read(found("new.safetensors"))
    assert len(by_hand.slots) == 128 and not by_hand.left and str(by_hand.base_model) == "SD1.5"
    assert same(by_hand, files.read(found("2100-lora.safetensors")))


@pytest.mark.parametrize("name", ["analog_svd_rank4.safetensors", "lora_disney.safetensors"])
def test_the_first_format(name):
    """cloneofsimo/lora"""
    lora = files.read(found(name))
    assert len(lora.slots) == 144 and str(lora.base_model) == "SD1.5"
    text = [item for item in lora.left if item.what is What.TEXT]
    words = {item.name for item in lora.left if item.what is What.TENSOR}
    assert len(text) == 48 and words == ({"<s1>", "<s2>"} if "disney" in name else set())


def test_torch_files_hold_what_they_hold_in_safetensors(tmp_path):
    for path in [*Path(FOLDER).rglob("*.bin"), *Path(FOLDER).rglob("*.pt")]:
        stored = files.read_torch(path)
        save_file(stored.tensors, tmp_path / "a.safetensors")
        assert same(files.read(path), files.read(tmp_path / "a.safetensors"))
