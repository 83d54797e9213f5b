"""What a person sees of an error: its name and one line."""

from __future__ import annotations

import pickle

from klora_core.errors import KLoraError


def test_its_kind_is_shown_without_the_folders_of_its_module():
    # Hosts show module and name, and the module of a custom node is named by its path.
    assert (KLoraError.__module__, KLoraError.__qualname__) == ("builtins", "KLoraError")


def test_it_passes_from_process_to_process():
    error = pickle.loads(pickle.dumps(KLoraError("a file\x1b: choose another.")))
    assert type(error) is KLoraError and str(error) == "a file\\x1b: choose another."
