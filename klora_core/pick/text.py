"""What a LoRA file says of itself that a search can use: from its header, never from its weights."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import KLoraError, printable
from ..files import (
    captions,
    changes,
    filed_under,
    is_adapter,
    is_torch_file,
    read_header,
    split,
    trigger_words,
    utf8_path,
)
from ..names import base_model_of
from .words import trigger

NO_FILE = "it is gone, or no file"
UNREADABLE = "its header can't be read: it is damaged or no safetensors file. Download it again"
NO_LORA = "it holds no LoRA: it may be a checkpoint, a VAE or an embedding"

# What a file is called beside its subject: versions, steps, base models, kinds.
_BESIDE = re.compile(
    r"v?\d[\d.]*[a-z]?|sd|sdxl|sd15|xl|flux|flux1|dev|pony|illustrious|ilxl|z|image|lora|loras|locon|lycoris|"
    r"final|last|e\d+|ep\d+|epoch\d*|step\d*|steps|rank\d*|dim\d*|fp16|bf16|pytorch|weights|by|the|of"
)
_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class LoraText:
    """What a file says: ``triggers``, ``texts`` to search by meaning, names of ``bases`` that it was made
    for, what it is ``filed`` under; ``problem`` why it can't be used, empty where it can."""

    triggers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    filed: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing, so that its name is all there is."""
        return not (self.triggers or self.texts)


def text_of(path: str) -> LoraText:
    """What the file at ``path`` says; of torch's files, which have no text, nothing is read. Never raises."""
    try:
        # A pipe would be waited for.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return LoraText(problem=NO_FILE)
        with utf8_path(path) as plain:
            if is_torch_file(plain):
                return LoraText()
            shapes, metadata = read_header(plain)
    except (OSError, ValueError):
        return LoraText(problem=NO_FILE)
    if not shapes and not metadata:
        return LoraText(problem=UNREADABLE)
    return of_header(shapes, metadata)


def of_header(shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]) -> LoraText:
    """What a header says: the shapes of its tensors by name, and its text."""
    if not any(found is not None and is_adapter(found[1]) for found in map(split, shapes)):
        return LoraText(problem=NO_LORA)
    try:
        base = base_model_of(changes(shapes), metadata)
    except KLoraError as error:
        return LoraText(problem=printable(error))
    words = re.split("[,\N{FULLWIDTH COMMA}\N{IDEOGRAPHIC COMMA};\n]", trigger_words(metadata))
    triggers = dict.fromkeys(word.strip() for word in words if trigger(word))
    bases = () if base is None else base.names
    return LoraText(tuple(triggers), captions(metadata), bases, filed_under(metadata))


def words_of_name(name: str) -> tuple[str, ...]:
    """The words of a file's or folder's name, in small letters: ``InkWash_v2`` is ink, wash, v2."""
    return tuple(word.lower() for word in _WORD.findall(_CAMEL.sub(" ", name)))


def said_by_name(name: str) -> str:
    """What a file's name says, without versions, steps, base models: ``ink wash``; empty for nothing."""
    stem = os.path.splitext(name.replace("\\", "/").rpartition("/")[2])[0]
    words = [word for word in words_of_name(stem) if not _BESIDE.fullmatch(word)]
    return " ".join(word for word in words if len(word) > 1 or not word.isascii())
