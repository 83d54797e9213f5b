"""What files say, from their headers alone; hostile ones are named with the reason."""

from __future__ import annotations

import json
import os
import struct

import pytest
import torch
from safetensors.torch import save_file

from klora_core.pick import NO_FILE, LoraText, text_of
from klora_core.pick.text import NO_LORA, UNREADABLE, said_by_name
from tests.support.headers import KEYS, LONG, TEXTS, hostile

LAYER = "lora_unet_input_blocks_7_1_transformer_blocks_9_attn2_to_k"


def tensors():
    return {f"{LAYER}.lora_down.weight": torch.ones(2, 2048), f"{LAYER}.lora_up.weight": torch.ones(1280, 2)}


@pytest.fixture
def write(tmp_path):
    def write(metadata=None, name="cat.safetensors"):
        path = tmp_path / name
        save_file(tensors(), path, metadata=metadata)
        return str(path)

    return write


def tags(**folders):
    return {"ss_tag_frequency": json.dumps(folders)}


def test_triggers_captions_base_and_tags(write):
    said = {
        **tags(**{"10_cat": {"ohwx cat": 20, "a cat sits on the old wall": 2, "grass": 3, "a dog runs": 1}}),
        "modelspec.trigger_phrase": "ohwx cat, \N{FULLWIDTH COMMA}fluffy",
        "modelspec.tags": "animal, photo",
        "modelspec.description": "My  cat\nin many poses.",
        "ss_base_model_version": "sdxl_base_v1-0",
    }
    assert text_of(write(said)) == LoraText(
        ("ohwx cat", "fluffy"),
        (
            "ohwx cat, \N{FULLWIDTH COMMA}fluffy, animal, photo, grass, a dog runs",
            "My cat in many poses.",
            "a cat sits on the old wall",
        ),
        ("SDXL",),
        ("animal", "photo"),
    )


def test_captions_are_few_and_short_and_those_of_regularisation_are_no_part(write):
    own = {f"a long sentence number {i} {'word ' * 100}": 9 - i for i in range(9)}
    said = {**tags(**{"10_ohwx": own, "1_class": {"something else entirely": 50}})}
    said["ss_reg_dataset_dirs"] = json.dumps({"1_class": {"n_repeats": 1, "img_count": 50}})
    text = text_of(write(said))
    assert [each[:24] for each in text.texts] == [f"a long sentence number {i}" for i in range(4)]
    assert all(len(each) <= 300 and each.endswith("word") for each in text.texts)


def test_the_title_is_no_text_as_trainers_put_the_files_name_there(write):
    assert text_of(write({"modelspec.title": "cat_v2"})).is_silent


def test_of_a_torch_file_nothing_is_read(tmp_path):
    path = tmp_path / "cat.pt"
    torch.save(tensors(), path)
    assert text_of(str(path)) == LoraText()


def test_no_number_is_read(write):
    path = write(tags(**{"10_cat": {"ohwx cat": 20}}))
    whole = os.path.getsize(path)
    with open(path, "r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        # A hole in the place of all numbers: of as many, that take no room.
        file.truncate(8 + length)
        file.truncate(whole)
    assert text_of(path).triggers == ("ohwx cat",)


def test_what_can_t_be_used_says_why(tmp_path, write):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(b"cut")
    assert text_of(str(cut)).problem == UNREADABLE
    shorter = write()
    os.truncate(shorter, os.path.getsize(shorter) - 1)
    assert text_of(shorter).problem == UNREADABLE
    huge = tmp_path / "huge.safetensors"
    huge.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    assert text_of(str(huge)).problem == UNREADABLE
    vae = tmp_path / "vae.safetensors"
    save_file({"decoder.conv_in.weight": torch.ones(2, 2)}, vae)
    assert text_of(str(vae)).problem == NO_LORA
    assert text_of(str(tmp_path / "none.safetensors")).problem == NO_FILE
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert text_of(str(tmp_path / "pipe.safetensors")).problem == NO_FILE, "and is not waited for"
    assert text_of(str(tmp_path)).problem == NO_FILE
    assert text_of("a\0b").problem == NO_FILE


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_header_says_nothing_and_breaks_nothing(write, text):
    for key in KEYS:
        found = text_of(write(hostile(key, text)))
        assert not found.problem and len("".join(found.texts)) < 2000
        assert all(each.isprintable() for each in (*found.triggers, *found.texts, *found.filed))


def test_a_long_header_says_little(write):
    found = text_of(write({key: LONG for key in (*KEYS, "modelspec.description", "modelspec.tags")}))
    assert sum(map(len, found.texts)) <= 1200 and not found.problem


def test_a_name_that_is_no_utf_8(write, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"c\xe4t.safetensors")
    os.rename(write(tags(**{"10_cat": {"ohwx cat": 20}})), path)
    assert text_of(os.fsdecode(path)).triggers == ("ohwx cat",)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("styles/InkWash_v2.safetensors", "ink wash"),
        ("sub\\ohwx-cat-000008.safetensors", "ohwx cat"),
        ("my_sdxl_lora_rank16.pt", "my"),
        ("FluxDreams_final.safetensors", "dreams"),
        ("水墨画.safetensors", "水墨画"),
        ("v1.5.safetensors", ""),
        ("a.safetensors", ""),
    ],
)
def test_what_a_name_says(name, said):
    assert said_by_name(name) == said
