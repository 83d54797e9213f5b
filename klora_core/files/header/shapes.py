"""What the names and shapes of a LoRA file's tensors tell, without a look at their numbers."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ... import names
from ...errors import KLoraError
from ..adapters import change_of
from ..keys import ALPHA, BIAS, GATE, LORA_BIAS, RANKS, ROWS, SINGULAR, WHOLE, Refused, is_text, split

Shape = Sequence[int]
# What is beside the tensors that make a change.
_BESIDE = {ALPHA, BIAS, LORA_BIAS, GATE, SINGULAR, RANKS, ROWS, WHOLE}


def changes(shapes: Mapping[str, Shape]) -> dict[str, tuple[int, int]]:
    """[out, n] of each module's weight change by its path, of a file's tensors by name; no text encoders.

    Modules whose size their parts do not tell are left out too.
    """
    parts: dict[str, dict[str, Shape]] = defaultdict(dict)
    for key, shape in shapes.items():
        found = split(key)
        if found is not None and found[1] not in _BESIDE and not is_text(found[0]):
            parts[found[0]][found[1]] = shape
    sizes = {raw: size for raw, there in parts.items() if (size := _size(raw, there)) is not None}
    named = names.numbered(sizes, {})
    apart = {
        part.raw: (part.length, n)
        for raw, (out, n) in sizes.items()
        for part in names.parts_of(raw, (out, n))
    }
    whole = {named.get(raw, raw): size for raw, size in sizes.items() if not names.parts_of(raw, size)}
    return {names.module(raw)[0]: size for raw, size in {**whole, **apart}.items()}


def _size(raw: str, parts: Mapping[str, Shape]) -> tuple[int, int] | None:
    """As :func:`klora_core.files.adapters.change_of` finds it, which needs no numbers but alpha's."""
    if any(isinstance(part, Refused) for part in parts):
        return None
    try:
        tensors = {part: torch.empty(tuple(shape), device="meta") for part, shape in parts.items()}
        out, n = change_of(raw, tensors).shape
    # Sizes that no tensor can have, torch refuses in errors of its own.
    except (KLoraError, RuntimeError, ValueError, TypeError):
        return None
    # An OFT does not know its inputs.
    return (out, n) if n else None


def read_header(path: str | Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """({tensor: shape}, metadata) of a safetensors file; both empty where it can't be read."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            return shapes, dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}, {}


@contextmanager
def utf8_path(path: str | Path) -> Iterator[str]:
    """The path, or for a name that is no UTF-8, which safetensors can't open, a link to it for the time."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = os.path.join(folder, f"lora{os.path.splitext(path)[1]}")
            os.symlink(os.path.abspath(path), link)
            yield link
    else:
        yield os.fspath(path)
