"""Slots by depth, from the input of the network to its output, and the blocks that they belong to."""

from __future__ import annotations

import re

_STAGES = (
    ("input_blocks", "down"),
    ("middle_block", "mid"),
    ("output_blocks", "up"),
    ("noise_refiner", "refiner"),
    ("context_refiner", "refiner"),
    ("double_blocks", "double"),
    ("joint_blocks", "joint"),
    ("single_blocks", "single"),
    ("transformer_blocks", "block"),
    ("layers", "layer"),
    ("blocks", "block"),
)
_LAST = ("final_layer", "out", "head", "proj_out", "norm_out", "final_proj")
_NUMBER = re.compile(r"(\d+)")
_ATTENTION = re.compile(r"(^|\.)(?!\w*modulation)(\w*attn\d*|attention)(_\w+)?(\.|\[|$)")


def depth_key(name: str) -> tuple:
    """A sort key: embedders, then the stages in the order the network runs them, then the output."""
    head = name.split(".", 1)[0]
    stage = next((i + 1 for i, (prefix, _) in enumerate(_STAGES) if head == prefix), 0)
    if head in _LAST:
        stage = len(_STAGES) + 1
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in _NUMBER.split(name) if p)
    return stage, parts


def block(name: str) -> tuple[str, str]:
    """(group, block) of a slot, as a person calls them: ``("down", "down 4")``."""
    parts = name.split("[", 1)[0].split(".")
    group = dict(_STAGES).get(parts[0])
    if group is None:
        return "other", parts[0]
    if group == "mid" or len(parts) < 2 or not parts[1].isdigit():
        return group, group
    return group, f"{group} {parts[1]}"


def is_attention(name: str) -> bool:
    """Whether a slot is a query, key, value or output projection of an attention layer.

    FLUX's single blocks keep theirs in ``linear1`` (with the feed-forward rows) and ``linear2``; the
    feed-forward rows alone, where a LoRA is split, are not attention.
    """
    if name.startswith("single_blocks.") and (".linear1" in name or ".linear2" in name):
        return not _is_feed_forward_slice(name)
    return _ATTENTION.search(name) is not None


def _is_feed_forward_slice(name: str) -> bool:
    # linear1 holds q, k, v, a width each, then the feed-forward rows: 4 widths in FLUX.1, 6 in FLUX.2.
    # They alone are longer than all that lies before them.
    found = re.search(r"linear1\[(\d+):(\d+)\]$", name)
    if found is None:
        return False
    start, stop = int(found[1]), int(found[2])
    return 0 < start < stop - start
