"""What a person sees of an error: its name and one line."""

from __future__ import annotations

import pickle

import pytest

from klora_core.errors import KLoraError, naming


def test_its_kind_is_shown_without_the_folders_of_its_module():
    # Hosts show module and name, and the module of a custom node is named by its path.
    assert (KLoraError.__module__, KLoraError.__qualname__) == ("builtins", "KLoraError")


def test_it_passes_from_process_to_process():
    error = pickle.loads(pickle.dumps(KLoraError("a file\x1b.", "Choose another")))
    assert type(error) is KLoraError and str(error) == "Choose another: a file\\x1b."
    assert (error.why, error.do) == ("a file\\x1b.", "Choose another")


def test_what_to_do_comes_before_the_file_and_its_layers():
    with pytest.raises(KLoraError) as caught, naming("pair"), naming("style.safetensors"):
        raise KLoraError("none of its 8 layers is in SDXL.", "Choose a LoRA made for SDXL")
    assert str(caught.value) == (
        "Choose a LoRA made for SDXL: pair: style.safetensors: none of its 8 layers is in SDXL."
    )
    with pytest.raises(KLoraError, match=r"^a: b\.$"), naming("a"):
        raise KLoraError("b.")


def test_in_a_list_of_files_their_names_come_first():
    assert KLoraError("a.safetensors: is empty.", "Choose another").in_list == (
        "a.safetensors: is empty. Choose another."
    )
    assert KLoraError("a must be 1.").in_list == "a must be 1."
