"""Texts as vectors of the model's own text encoder, so that near in meaning is near."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...klora_core.errors import KLoraError
from ...klora_core.pick import Texts, Vector, cosines, mean
from .library import VECTORS, told

# What an encoder makes of it tells it from others: every weight but those of other words has a part in it.
_PROBE = "a photo of an orange cat beside a blue house, in the style of an old painting"


def to_prompt(clip: Any, prompt: str, texts: Mapping[str, Texts]) -> dict[str, float]:
    """By name the cosine of the mean vector of each one's texts to that of ``prompt``."""
    wanted = {name: each for name, each in texts.items() if each}
    encoder = hashlib.blake2b(_vector(clip, _PROBE).tobytes(), digest_size=8).hexdigest()
    to = mean([_vector(clip, prompt)])

    def encode(each: Texts) -> Vector:
        return mean([_vector(clip, _literal(text)) for text in each])

    vectors = VECTORS.vectors(list(wanted.values()), encoder, encode, told())
    return dict(zip(wanted, cosines(vectors, to), strict=True))


def _literal(text: str) -> str:
    """A text of a file as words alone: no weights in brackets, and no file of the embeddings folder."""
    plain = text.replace("\\", "").replace("(", "\\(").replace(")", "\\)")
    return plain.replace("embedding:", "embedding ")


def _vector(clip: Any, text: str) -> Vector:
    """A text's vector of length 1: the encoder's own for a whole text, or the mean over its tokens."""
    encoded = clip.encode_from_tokens(clip.tokenize(text), return_dict=True)
    found = _pooled(encoded.get("pooled_output"))
    if found is None:
        found = _over_tokens(encoded.get("cond"), encoded.get("attention_mask"))
    length = 0.0 if found is None else float(np.linalg.norm(found))
    if found is None or not 0 < length < float("inf"):
        raise KLoraError(
            f"this text encoder ({type(clip.cond_stage_model).__name__}) gives no vectors that can be "
            "compared.",
            "Leave clip unconnected",
        )
    return found / length


def _pooled(pooled: Any) -> Vector | None:
    if not isinstance(pooled, Tensor) or pooled.numel() == 0 or not bool(pooled.any()):
        return None
    return pooled.reshape(pooled.shape[0], -1)[0].to("cpu", torch.float64).numpy()


def _over_tokens(cond: Any, mask: Any) -> Vector | None:
    """The mean over the tokens of a text, without those that only fill up its length."""
    if not isinstance(cond, Tensor) or cond.ndim < 2 or cond.numel() == 0:
        return None
    tokens = cond[0].reshape(-1, cond.shape[-1]).to("cpu", torch.float64)
    there = tokens.any(dim=1)
    if isinstance(mask, Tensor) and mask.numel() == len(tokens):
        there &= mask.reshape(-1).to("cpu") > 0
    return tokens[there].mean(dim=0).numpy() if bool(there.any()) else None
