"""The toy model's captions, without a text encoder: a word is a fixed random vector.

The toy model (world/README.md) runs the template Try it now. No table is shipped: any word has a vector, made
from a hash of its letters. The model knows the words of its concepts and styles; a word that it never met
changes no picture by itself, because random vectors stand in a part of its captions.
"""

from __future__ import annotations

import hashlib
from functools import cache

import torch
from torch import Tensor

from ..errors import KLoraError

WIDTH = 128
LENGTH = 6
PAD = "."


@cache
def vector(word: str) -> Tensor:
    """The word's vector [128] of unit variance; the padding word is small."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little") >> 1
    found = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    return found * 0.1 if word == PAD else found


def caption(style: str, name: str) -> str:
    """The words of a picture: its style, then its concept's own, as "flat polar bear"."""
    return " ".join((style, *name.split("-")))


def vectors(text: str) -> Tensor:
    """[LENGTH, 128] of one caption, padded; commas say nothing. Raises KLoraError for too many words."""
    words = text.replace(",", " ").split()
    if len(words) > LENGTH:
        raise KLoraError(
            f"the toy model takes no more, and these are {len(words)}: {text}",
            f"Write at most {LENGTH} words",
        )
    return torch.stack([vector(word) for word in (*words, *[PAD] * (LENGTH - len(words)))])


def condition(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Context [B, LENGTH, 128] as it is, and pooled [B, 128]: the sum over words by LENGTH's root."""
    return rows, rows.sum(1) / LENGTH**0.5


def encode(text: str) -> tuple[Tensor, Tensor]:
    """Context [1, LENGTH, 128] and pooled [1, 128] of one caption."""
    return condition(vectors(text)[None])
