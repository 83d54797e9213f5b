"""Captions without a text encoder: a fixed table of word vectors, and captions as rows of that table.

Words of the base name colour, shape, style, ground and eyes. Rare words are those that the base has never
met: a fifth of its captions hold random vectors that mean nothing, so an unknown word alone changes no
picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .forms import SHAPES, SUBJECTS
from .scenes import COLOURS, GROUNDS, Scene
from .styles import HELD_OUT_STYLES, PLAIN_STYLES

WIDTH = 64
LENGTH = 6
PAD = "."
TRIGGERS: dict[str, str] = {
    **dict(zip(SUBJECTS, ("ruvak", "tolmi", "qesh", "bradu"), strict=True)),
    **dict(zip(HELD_OUT_STYLES, ("vomek", "sarn", "yipo", "kelz"), strict=True)),
}
KNOWN: tuple[str, ...] = (PAD, *COLOURS, *SHAPES, *PLAIN_STYLES, *GROUNDS, "eyes")
VOCABULARY: tuple[str, ...] = (*KNOWN, *TRIGGERS.values())


def make_table(seed: int = 7) -> Tensor:
    """Fixed vectors of unit variance, [words, 64]; the padding word is small."""
    table = torch.randn(len(VOCABULARY), WIDTH, generator=torch.Generator().manual_seed(seed))
    table[0] *= 0.1
    return table


def save_table(path: Path, table: Tensor) -> None:
    """One file: the vectors, and the words in its metadata."""
    save_file({"words": table.half().contiguous()}, path, metadata={"words": " ".join(VOCABULARY)})


def load_table(path: Path) -> Tensor:
    """The vectors in float32, in VOCABULARY's order."""
    return load_file(path)["words"].float()


def words_of(scene: Scene) -> list[str]:
    """The full caption; held-out subjects and styles are named by their triggers."""
    words = [TRIGGERS[scene.form]] if scene.form in SUBJECTS else [scene.colour or PAD, scene.form]
    words.append(TRIGGERS.get(scene.style, scene.style))
    if scene.style not in HELD_OUT_STYLES:
        words.append(scene.ground)
    if scene.eyes and scene.form not in SUBJECTS:
        words.append("eyes")
    return words


def ids_of(words: list[str]) -> np.ndarray:
    """Rows of the table, padded to LENGTH, int64."""
    if len(words) > LENGTH:
        raise ValueError(f"a caption has at most {LENGTH} words, got {len(words)}: {' '.join(words)}")
    unknown = [w for w in words if w not in VOCABULARY]
    if unknown:
        raise ValueError(f"unknown words {unknown}; the table knows {' '.join(VOCABULARY)}")
    return np.array([VOCABULARY.index(w) for w in words] + [0] * (LENGTH - len(words)), np.int64)


def condition(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Context [B, LENGTH, 64] as it is, and pooled [B, 64]: the sum over words by LENGTH's root."""
    return vectors, vectors.sum(1) / LENGTH**0.5


def encode(table: Tensor, text: str) -> tuple[Tensor, Tensor]:
    """Context [1, LENGTH, 64] and pooled [1, 64] of one caption."""
    return condition(table[torch.from_numpy(ids_of(text.split()))][None])
