"""Trained gates as files, by themselves: written whole or not at all, and read back."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ...errors import KLoraError, naming, printable
from ...outputs import replacing, unwritable
from ..header import utf8_path
from .gate_file import GateFile, gate_of, gate_tensors


def open_gate(path: str | Path) -> GateFile:
    """The gate in a file. Raises KLoraError, with the file's name and the layer, for any other file."""
    path = Path(path)
    name = printable(path.name)
    if not path.is_file():
        raise KLoraError(f"{name}: is not a file.", "Give the path of a trained gate")
    try:
        with utf8_path(path) as plain, safe_open(plain, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
    except SafetensorError as error:
        raise KLoraError(
            f"{name}: is not a complete safetensors file ({printable(error)}).", "Give a trained gate"
        ) from error
    except OSError as error:
        raise KLoraError(f"{name}: can't be read ({error.strerror or error}).", "Check the file") from error
    return gate_of(name, tensors, metadata)


def save_gate(path: str | Path, gate: GateFile) -> None:
    """Write a gate that can be read, and read it back before it takes its place.

    Raises KLoraError for what can't be written; ``path`` is then as it was.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise KLoraError(f"can't write {path}.", "Give a file name that ends in .safetensors")
    tensors, metadata = gate_tensors(gate)
    gate_of(path.name, tensors)
    with replacing(path) as beside:
        try:
            save_file(tensors, beside, metadata)
        except Exception as error:
            # safetensors has an error of its own for what the system says.
            raise unwritable(path, error) from error
        with utf8_path(beside) as plain, naming(printable(path.name)):
            stored = load_file(plain)
            lost = [key for key in tensors if key not in stored or not torch.equal(stored[key], tensors[key])]
            if lost:
                raise KLoraError(f"{printable(lost[0])} was not stored as it is.", "Check the disk")
