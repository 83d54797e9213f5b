"""Projections of an attention that a file keeps as one layer, which most networks keep apart."""

from __future__ import annotations

import re
from typing import NamedTuple

# Layers that diffusers fuses on request, by the parts that they are made of.
FUSED = {
    "to_qkv": ("to_q", "to_k", "to_v"),
    "to_kv": ("to_k", "to_v"),
    "to_added_qkv": ("add_q_proj", "add_k_proj", "add_v_proj"),
    "to_added_kv": ("add_k_proj", "add_v_proj"),
}
# In the blocks of diffusers' transformers alone: other networks call layers of their own so.
_LAYER = re.compile(
    r"(?P<attention>.*(?:(?:transformer_blocks|text_fusion)[._](?:.*[._])?"
    r"|(?:blocks|layers|refiner)[._]\d+[._](?:attn\d?|attention)[._]))"
    rf"(?P<layer>{'|'.join(FUSED)})"
)


class Part(NamedTuple):
    """The rows of a fused layer, ``start`` and ``length``, that are those of the layer ``raw``."""

    raw: str
    start: int
    length: int


def is_fused(raw: str) -> bool:
    """Whether a module of a LoRA file is several projections in one."""
    return _LAYER.fullmatch(raw) is not None


def parts_of(raw: str, shape: tuple[int, int]) -> tuple[Part, ...]:
    """The parts of a fused module, for a change of ``shape`` [out, n]; none where ``out`` can't be so many.

    Of queries, keys and values that are no thirds, the queries are as many as the inputs: the others are
    grouped, as in Krea 2.
    """
    match = _LAYER.fullmatch(raw)
    if match is None:
        return ()
    names, (out, n) = FUSED[match["layer"]], shape
    is_grouped = match["layer"] == "to_qkv" and 0 < n < out
    first = n if is_grouped else out // len(names)
    others, rest = divmod(out - first, len(names) - 1)
    if rest or not others or not (is_grouped or others == first):
        return ()
    lengths = (first, *(others for _ in names[1:]))
    starts = [sum(lengths[:i]) for i in range(len(names))]
    return tuple(
        Part(match["attention"] + name, *span) for name, *span in zip(names, starts, lengths, strict=True)
    )
