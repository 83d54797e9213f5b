"""Which blocks of a network are said to hold the content of a picture, and which its style.

SDXL's are B-LoRA's (Frenkel et al., arXiv 2403.14572): W_4, ``output_blocks.0.1`` (diffusers
up_blocks.0.attentions.0), and W_5, ``output_blocks.1.1`` (up_blocks.0.attentions.1). FLUX's are SplitFlux's
(arXiv 2511.15258): the single blocks 0 to 9, and 10 to 37. With LoRAs that were not trained for them both are
heuristics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..bases import base_model_of
from ..layout import layout_of
from ..sign_table import FLUX

CONTENT, STYLE = PRESETS = ("content", "style")
SDXL_NAME, FLUX_NAME = FAMILIES = ("SDXL", "FLUX")


class Half(NamedTuple):
    """Some blocks of a network: what a person calls them, and the names of their weights."""

    said: str
    weights: re.Pattern[str]


HALVES: dict[str, dict[str, Half]] = {
    SDXL_NAME: {
        CONTENT: Half("output_blocks.0.1", re.compile(r"output_blocks\.0\.1\.")),
        STYLE: Half("output_blocks.1.1", re.compile(r"output_blocks\.1\.1\.")),
    },
    FLUX_NAME: {
        CONTENT: Half("single 0-9", re.compile(r"single_blocks\.\d\.")),
        STYLE: Half("single 10-37", re.compile(r"single_blocks\.(?:[12]\d|3[0-7])\.")),
    },
}

_CONTEXT = 2048
_CROSS = re.compile(r"output_blocks\.[01]\.1\.transformer_blocks\.\d+\.attn2\.to_[kv](?:\[|$)")
# SDXL's are ten blocks deep; no other UNet of the family comes near.
_DEEP = re.compile(r"output_blocks\.[01]\.1\.transformer_blocks\.[4-9]\.")


def in_half(name: str, preset: str) -> bool:
    """Whether a slot lies in the half ``preset`` of its network; their names tell the two networks apart."""
    return any(halves[preset].weights.match(name) for halves in HALVES.values())


def said_of(family: str, preset: str) -> str:
    """What a person calls a half of one of FAMILIES."""
    return HALVES[family][preset].said


def family_of(shapes: Mapping[str, tuple[int, int]]) -> str | None:
    """The one of FAMILIES whose LoRA has these slots, [out, n] by name; None for any other network."""
    if any(_is_sdxl(name, n) for name, (_, n) in shapes.items()):
        return SDXL_NAME
    if layout_of(shapes).network != FLUX:
        return None
    base = base_model_of(shapes)
    return FLUX_NAME if base is None or base.fits(FLUX_NAME) else None


def _is_sdxl(name: str, inputs: int) -> bool:
    if _CROSS.match(name):
        return inputs == _CONTEXT
    return _DEEP.match(name) is not None
