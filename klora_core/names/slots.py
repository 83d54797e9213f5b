"""A slot, and slots by depth, from the input of the network to its output, with the blocks they belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A weight, or some of its rows: ``rows`` is (start, length), None the whole weight."""

    weight: str
    rows: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """``double_blocks.0.img_attn.qkv[0:3072]``; without brackets for a whole weight."""
        if self.rows is None:
            return self.weight
        return f"{self.weight}[{self.rows[0]}:{sum(self.rows)}]"


# Where a network keeps its blocks, in the order in which it runs them, and what a person calls the group.
_STAGES = (
    (r"input_blocks|down_blocks", "down"),
    (r"middle_block", "mid"),
    (r"output_blocks|up_blocks", "up"),
    (r"noise_refiner|ref_image_refiner", "refiner"),
    (r"context_refiner", "refiner"),
    (r"txt_in\.individual_token_refiner\.blocks|token_refiner\.blocks", "refiner"),
    (r"txtfusion\.(?:layerwise|refiner)_blocks|text_transformer_blocks|llm_adapter\.blocks", "text"),
    (r"(?:audio|video)_embeddings_connector\.transformer_1d_blocks", "connector"),
    (r"lyric_encoder\.encoders", "lyric"),
    (r"distilled_guidance_layer\.layers", "guidance"),
    (r"double_(?:blocks|layers|stream_blocks|stream_layers)", "double"),
    (r"joint_blocks", "joint"),
    (r"single_(?:blocks|layers|stream_blocks|stream_layers)", "single"),
    (r"visual_transformer_blocks|visual\.blocks", "visual"),
    (r"vace_blocks", "vace"),
    (r"patch_blocks", "patch"),
    (r"pixel_blocks", "pixel"),
    (r"transformer_blocks", "block"),
    (r"(?:(?:diffusion_transformer\.)?transformer\.|language_model\.|decoder\.)?layers", "layer"),
    (r"blocks", "block"),
    (r"face_adapter\.fuser_blocks", "face"),
    (r"(?:audio|music)_injector\.injector", "sound"),
)
_STAGE = re.compile(
    f"(?:{'|'.join(f'({heads})' for heads, _ in _STAGES)})(?:\\.(?:block)?(?P<number>\\d+))?(?=[.[]|$)"
)
_LAST = ("final_layer", "out", "head", "proj_out", "norm_out", "final_proj")
_NUMBER = re.compile(r"(\d+)")
# The innermost of blocks in blocks.
_BLOCK = re.compile(r"(.*?(?:\w*blocks|\w*layers)\.\d+(?:\..*(?:\w*blocks|\w*layers)\.\d+)?)\.")
# Projections whose input is the text alone: keys and values of cross-attention.
_TEXT = re.compile(
    r"\.(attn2\.(to_[kv]|kv_proj)|cross_attn\.([kv]|[kv]_proj|to_[kv]|kv_linear)"
    r"|cross_attention\.to_(key|value))$"
)
_ATTENTION = re.compile(
    r"(^|\.)(?!\w*modulation|compress_to_|expand_from_)(\w*attn\d*|(self_|cross_)?attention)(_\w+)?(\.|\[|$)"
)
# Projections of attention that stand alone: in CogVideoX's blocks, in Wan's injectors and face adapter, and
# in the layers that pool a text by attention.
_ALONE = re.compile(
    r"blocks\.\d+\.[qkv](\[|$)|(audio|music)_injector\.injector\.\d+\.[qkvo](\[|$)"
    r"|face_adapter\.fuser_blocks\.\d+\.linear|pooler\.[qkvc]_proj|t5_y_embedder\.to_(q|kv|out)(\[|$)"
)


def _stage(name: str) -> tuple[int, str | None]:
    """(place among the stages from 1 on, 0 for none; the number of the block where there is one)."""
    head = _STAGE.match(name)
    if head is None:
        return 0, None
    stages = head.groups()[: len(_STAGES)]
    return next(i for i, stage in enumerate(stages, 1) if stage is not None), head["number"]


def _head(name: str) -> str:
    """The first part of a slot's name."""
    return name.partition("[")[0].partition(".")[0]


def depth_key(name: str) -> tuple:
    """A sort key: embedders, then the stages in the order the network runs them, then the output."""
    stage = _stage(name)[0]
    if _head(name) in _LAST:
        stage = len(_STAGES) + 1
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in _NUMBER.split(name) if p)
    return stage, parts


def block(name: str) -> tuple[str, str]:
    """(group, block) of a slot, as a person calls them: ``("down", "down 4")``."""
    stage, number = _stage(name)
    if not stage:
        return "other", _head(name)
    group = _STAGES[stage - 1][1]
    return group, group if group == "mid" or number is None else f"{group} {number}"


def transformer_block(name: str) -> str:
    """The transformer block that a slot lies in, by the head of its name; of none its first part alone."""
    found = _BLOCK.match(name)
    return found[1] if found else _head(name)


def reads_text(name: str) -> bool:
    """Whether a slot is a key or value projection of cross-attention, whose input is the text and no more.

    Where text and picture are tokens of one attention there is no such slot.
    """
    return _TEXT.search(name) is not None


def is_attention(name: str) -> bool:
    """Whether a slot is a query, key, value or output projection of an attention layer.

    FLUX's single blocks keep theirs in ``linear1`` (with the feed-forward rows) and ``linear2``; the
    feed-forward rows alone, where a LoRA is split, are not attention.
    """
    if name.startswith("single_blocks.") and (".linear1" in name or ".linear2" in name):
        return not _is_feed_forward_slice(name)
    return _ATTENTION.search(name) is not None or _ALONE.match(name) is not None


def _is_feed_forward_slice(name: str) -> bool:
    # linear1 holds q, k, v, a width each, then the feed-forward rows: 4 widths in FLUX.1, 6 in FLUX.2.
    # They alone are longer than all that lies before them.
    rows = re.search(r"linear1\[(\d+):(\d+)\]$", name)
    if rows is None:
        return False
    start, stop = int(rows[1]), int(rows[2])
    return 0 < start < stop - start
