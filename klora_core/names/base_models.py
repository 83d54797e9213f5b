"""The base model of a LoRA by the name that people call it: from its layers, and from its metadata."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .. import written
from .compounds import COMPOUNDS
from .layout import layout_by, layout_of
from .sign_table import OTHER, ROWS
from .signs import Row, Shapes, Within, lines_of

# What trainers write: Stability's modelspec, kohya and those after it (ai-toolkit, musubi-tuner); then what
# PEFT and OneTrainer keep of a training's settings, as JSON.
_WRITTEN = ("modelspec.architecture", "ss_base_model_version", "modelspec.base_model", "base_model")
_SETTINGS = (
    ("lora_adapter_metadata", ("base_model_name_or_path", "transformer.base_model_name_or_path")),
    ("lora_adapter_metadata", ("unet.base_model_name_or_path",)),
    ("ot_config", ("model_type",)),
)
# Characters of a name that are looked at.
_LONGEST = 300


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

    ``shapes`` holds [out, n] of each change by its path, as :func:`module` gives it;
    ``metadata`` is the text in the file. Where the two contradict each other, the layers are right.
    """
    lines = lines_of(shapes)
    network = layout_by(lines).network
    row = _by_text(metadata or {})
    if row is None or network not in (None, *row.layouts):
        row = next(
            (
                row
                for row in ROWS
                for sign in row.signs
                if isinstance(sign, Within) and sign.layout == network and sign.fits(lines)
            ),
            None,
        )
    return None if row is None else BaseModel(row.names)


def base_texts(metadata: Mapping[str, str]) -> dict[str, str]:
    """What a file's text says of its base model as such, by key; else the model's name by the settings."""
    found = {key: text for key in _WRITTEN if (text := written.text_of(metadata, key))}
    if not found and (row := _by_text(metadata)) is not None and len(row.names) == 1:
        found = {_WRITTEN[-1]: row.names[0]}
    return found


def is_understood(shapes: Shapes) -> bool:
    """Whether the names in a LoRA, with [out, n] of each change, are those of a network that is told here."""
    return layout_of(shapes).network not in (None, OTHER) or base_model_of(shapes) is not None


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


def _by_text(metadata: Mapping[str, str]) -> Row | None:
    values = [written.text_of(metadata, key) for key in _WRITTEN]
    for key, fields in _SETTINGS:
        settings = written.json_of(metadata, key)
        values += [written.text_of(settings, field) for field in fields]
    texts = (re.sub(r"[ _.:]+", "-", value[:_LONGEST].lower()) for value in values if value)
    told = (row for text in texts for row in ROWS if row.written and re.search(row.written, text))
    return next(told, None)
