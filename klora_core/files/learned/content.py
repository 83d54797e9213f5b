"""What tells a LoRA from any other: its tensors by name, whatever its file is called and whoever wrote it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from ...deltas import hashed
from ..header import utf8_path
from ..torch_file import is_torch_file, read_torch


def content_of(tensors: Mapping[str, Tensor]) -> str:
    """32 hexadecimal digits, of names, dtypes, shapes and bytes; of nothing that a header says."""
    whole = hashlib.blake2b(digest_size=16)
    # A LORA_MODEL may hold anything.
    names = sorted(name for name, tensor in tensors.items() if isinstance(tensor, Tensor))
    for name, found in zip(names, hashed([tensors[name] for name in names]), strict=True):
        whole.update(name.encode(errors="surrogatepass") + b"\0" + found)
    return whole.hexdigest()


def content_of_file(path: Path) -> str:
    """The same of a LoRA file that can be read: that of its tensors as any loader gives them."""
    with utf8_path(path) as plain:
        if is_torch_file(plain):
            return content_of(read_torch(plain).tensors)
        with safe_open(plain, framework="pt") as file:
            return content_of({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
