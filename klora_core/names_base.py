"""What the names and shapes in a LoRA file tell about its base model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import names_maps as maps
from .names_transformers import TABLES

UNET, FLUX, OTHER = "unet", "flux", "other"

_ATTENTION_IN_FIRST_UP = re.compile(r"up_blocks\.0\.attentions|output_blocks\.[0-2]\.1\.transformer_blocks")
# SD 1.5 attends in its first down block, SDXL does not; an up block with attention but the first, neither.
_ATTENTION_ELSEWHERE = re.compile(
    r"(down_blocks\.0|up_blocks\.\d)\.attentions|(input_blocks\.1|output_blocks\.\d+)\.1\.transformer_blocks"
)
_UNET_BLOCKS = (
    "down_blocks.",
    "mid_block.",
    "up_blocks.",
    "input_blocks.",
    "middle_block.",
    "output_blocks.",
)
_AURAFLOW = re.compile(
    r"joint_transformer_blocks\.|(double|single)_layers\.|single_transformer_blocks\.\d+\.(ff\.|norm1\.|attn\.to_out\.0)"
)
_KREA = re.compile(
    r"text_fusion\.|time_mod_proj$|transformer_blocks\.\d+\.(attn\.to_gate|ff\.(gate|up|down))$"
)
_ANY_BLOCK = re.compile(r"\w*(layers|blocks)\.\d+\.")
_FLUX_WIDTH, _FLUX_DOUBLE_BLOCKS = 3072, 19
_SD3_WIDTHS, _PIXART_WIDTHS, _KREA_KEYS = {1536, 2432}, {1152}, (1536, 6144)


@dataclass(frozen=True)
class Base:
    """What a file's names tell about its base model; None where they leave it open.

    ``network`` is ``unet`` (SD 1.5, SDXL), ``flux``, one of the networks that
    :mod:`klora_core.names_transformers` has a table of, or ``other``.
    """

    network: str | None = None
    attention_in_first_up_block: bool | None = None

    def or_else(self, other: Base) -> Base:
        """This knowledge, and the other's where this leaves something open."""
        return Base(
            other.network if self.network is None else self.network,
            other.attention_in_first_up_block
            if self.attention_in_first_up_block is None
            else self.attention_in_first_up_block,
        )


def base_of(shapes: Mapping[str, tuple[int, int]]) -> Base:
    """What the paths of a file (with the shape [out, n] of each) tell about its base model."""
    return Base(_network(shapes), _has_early_attention(shapes))


def _network(shapes: Mapping[str, tuple[int, int]]) -> str | None:
    if any(path.startswith(_UNET_BLOCKS) for path in shapes):
        return UNET
    # The single blocks are FLUX's own, AuraFlow's aside.
    if any(path.startswith(("double_blocks.", "single_blocks.")) for path in shapes):
        return FLUX
    if any(_AURAFLOW.match(path) for path in shapes):
        return "auraflow"
    if any(maps.is_flux_single(path) for path in shapes):
        return FLUX
    if any(path.startswith("joint_blocks.") for path in shapes):
        return "sd3"
    if any(_KREA.match(path) for path in shapes):
        return "krea"
    blocks = {path: found for path in shapes if (found := maps.FLUX_DOUBLE.fullmatch(path))}
    if blocks:
        return _by_width({path: shapes[path] for path in blocks}, max(int(f[1]) for f in blocks.values()))
    return OTHER if any(_ANY_BLOCK.match(path) for path in shapes) else None


def _by_width(shapes: Mapping[str, tuple[int, int]], last: int) -> str | None:
    """The network of a file whose blocks are ``transformer_blocks.N``, as many networks' are."""
    if any(
        shape == _KREA_KEYS and path.endswith((".attn.to_k", ".attn.to_v")) for path, shape in shapes.items()
    ):
        return "krea"
    widths = {n for path, (_, n) in shapes.items() if not path.endswith(".ff.net.2")}
    widths -= {n for path, (_, n) in shapes.items() if path.endswith(".ff_context.net.2")}
    for network, known in (("sd3", _SD3_WIDTHS), ("pixart", _PIXART_WIDTHS)):
        if len(widths) == 1 and widths <= known and all(TABLES[network].find(path) for path in shapes):
            return network
    if last >= _FLUX_DOUBLE_BLOCKS or not all(maps.flux(path) for path in shapes):
        return OTHER
    # Qwen-Image has FLUX's width and attention; the context's norms and feed-forward it calls otherwise.
    sure = {n for path, (_, n) in shapes.items() if ".norm1_context." in path or ".ff_context.net.0" in path}
    # In another width they are another network's, such as a small SD3, or nobody's: the other LoRA may tell.
    return FLUX if sure == {_FLUX_WIDTH} else None


def _has_early_attention(paths: Iterable[str]) -> bool | None:
    paths = tuple(paths)
    if any(_ATTENTION_IN_FIRST_UP.match(path) for path in paths):
        return True
    return False if any(_ATTENTION_ELSEWHERE.match(path) for path in paths) else None
