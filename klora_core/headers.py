"""What the names and shapes of a LoRA file's tensors tell, without a look at their numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from . import names
from .parts import split

Shape = Sequence[int]


def changes(shapes: Mapping[str, Shape]) -> dict[str, tuple[int, int]]:
    """[out, n] of each module's weight change by its path, of a file's tensors by name; no text encoders.

    Modules whose size their parts do not tell are left out too.
    """
    parts: dict[str, dict[str, Shape]] = defaultdict(dict)
    for key, shape in shapes.items():
        if (found := split(key)) is not None and not names.is_text_encoder(found[0]):
            parts[found[0]][found[1]] = tuple(shape)
    sizes = {raw: size for raw, there in parts.items() if (size := _size(there)) is not None}
    return {names.module(raw)[0]: size for raw, size in sizes.items()}


def _size(parts: Mapping[str, Shape]) -> tuple[int, int] | None:
    for up, down in (("up", "down"), ("hada_w1_a", "hada_w1_b")):
        if up in parts and down in parts and parts[up] and parts[down]:
            return parts[up][0], math.prod(parts[down][1:])
    if "diff" in parts and len(parts["diff"]) > 1:
        return parts["diff"][0], math.prod(parts["diff"][1:])
    if "lokr_w1" in parts and "lokr_w2" in parts and len(parts["lokr_w2"]) > 1:
        (m1, n1), w2 = parts["lokr_w1"][:2], parts["lokr_w2"]
        return m1 * w2[0], n1 * math.prod(w2[1:])
    return None


def read(path: str | Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """({tensor: shape}, metadata) of a safetensors file; both empty where it can't be read."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            return shapes, dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}, {}
