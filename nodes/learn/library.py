"""The host's loras folder as a library: which files there are, in which state, and what they say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths

from ...klora_core.pick import NO_FILE, LoraText, State, TextIndex, VectorCache, state_of, text_of
from ..host import kept_folder

FOLDER = "loras"


def _index() -> Path | None:
    folder = kept_folder()
    return None if folder is None else folder / "lora-texts.bin"


# Both outlive the node's calls by design: a second search reads no header and encodes no text again.
TEXTS = TextIndex(text_of, _index)
VECTORS = VectorCache(kept_folder)


def names() -> list[str]:
    """The files that the host offers, by their names in the folder."""
    return folder_paths.get_filename_list(FOLDER)


def states() -> dict[str, tuple[str, State | None]]:
    """(path, state) of each file by its name; the state is None where it is gone."""
    found = {}
    for name in names():
        path = folder_paths.get_full_path(FOLDER, name)
        found[name] = ("", None) if path is None else (os.path.abspath(path), state_of(path))
    return found


def texts(wanted: list[str]) -> dict[str, LoraText]:
    """What the files of these names say; headers that are not known yet are read, with a progress bar."""
    every = states()
    paths = {name: every.get(name, ("", None)) for name in wanted}
    known = TEXTS.texts(
        {path: state for path, state in paths.values() if state is not None},
        {path for path, _ in every.values()},
        told(),
    )
    return {name: known.get(path, LoraText(problem=NO_FILE)) for name, (path, _) in paths.items()}


def told() -> Callable[[int, int], None]:
    """A step of what takes long: to the host's progress bar, and an end to it where the user wants that."""
    bars: list[comfy.utils.ProgressBar] = []

    def step(done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if not bars:
            bars.append(comfy.utils.ProgressBar(total))
        bars[0].update_absolute(done, total)

    return step
