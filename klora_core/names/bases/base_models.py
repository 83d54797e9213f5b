"""The base model of a LoRA by the name that people call it: from its layers, and from its metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..compounds import COMPOUNDS
from ..layout import layout_by, layout_of
from ..sign_table import OTHER
from ..signs import Shapes, lines_of
from .builds import base_models
from .said import said
from .unsized import unsized

# More names than these say nothing to a person.
_MOST = 5


@dataclass(frozen=True)
class BaseModel:
    """A base model by its name, or the few that nothing tells apart: ``names``, the likeliest first."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """``FLUX or Chroma``."""
        return " or ".join(self.names)

    def fits(self, other: BaseModel | str) -> bool:
        """Whether a LoRA of the one may be used in the other, which may be told by one name."""
        return not set(self.names).isdisjoint((other,) if isinstance(other, str) else other.names)


def words_of(base: BaseModel | None) -> str | None:
    """A base model in words, None where it is not known."""
    return None if base is None else str(base)


def base_model_of(shapes: Shapes, metadata: Mapping[str, str] | None = None) -> BaseModel | None:
    """The base model of a LoRA, None where nothing tells it.

    ``shapes`` holds [out, n] of each change by its path, as :func:`module` gives it, with ``[start:stop]``
    behind it for a part of a weight's rows; ``metadata`` is the text in the file. The sizes of its layers
    leave the networks that have all of them, and the text may name one of these. Where the two contradict
    each other, the layers are right.
    """
    lines = lines_of(shapes)
    names = _by_layers(shapes, lines)
    network = layout_by(lines).network
    for row in said(metadata or {}):
        if row.name in names or (not names and network in (None, *row.layouts)):
            return BaseModel((row.name,))
    return BaseModel(names) if 0 < len(names) <= _MOST else None


def is_understood(shapes: Shapes) -> bool:
    """Whether the names in a LoRA, with [out, n] of each change, are those of a network that is told here."""
    return layout_of(shapes).network not in (None, OTHER) or bool(_by_layers(shapes, lines_of(shapes)))


def wrapper_of(shapes: Shapes) -> str | None:
    """What stands before all of a LoRA's dotted names that are a known network's without it, and only so."""
    if is_understood(shapes):
        return None
    paths = {path: path.split(".") for path in shapes}
    heads = os.path.commonprefix([parts[:-1] for parts in paths.values()])
    for n, head in enumerate(heads, 1):
        # A part of a network that may have the names of another one's blocks within.
        if head in COMPOUNDS or head.isdigit():
            return None
        if is_understood({".".join(parts[n:]): shapes[path] for path, parts in paths.items()}):
            return ".".join(heads[:n])
    return None


def _by_layers(shapes: Shapes, lines: Sequence[str]) -> tuple[str, ...]:
    return base_models(tuple((path, (out, n)) for path, (out, n) in shapes.items())) or unsized(lines)
