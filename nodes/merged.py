"""One LoRA made of several, as the nodes that make it hand it out, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..klora_core.files import MERGE_TEXT_REASON
from ..klora_core.merges import DTYPES, Merged, metadata, state_dict
from ..klora_core.methods import ALWAYS
from ..klora_core.report import left_out
from .composing import Member
from .host import PREFIX, SUFFIX
from .loras import HostLora, LoraStateDict


def lora_of(merged: Merged, members: Sequence[Member], model: Any, precision: str) -> LoraStateDict:
    """An ordinary LORA_MODEL. ``precision`` is a key of DTYPES."""
    tensors = state_dict(merged.deltas, DTYPES[precision], _shapes(model))
    name = f"{merged.method.label} of {', '.join(member.name for member in members)}"
    about = metadata(merged, [member.name for member in members], [member.header for member in members])
    return LoraStateDict(tensors, name, about)


def lines_of(merged: Merged, members: Sequence[Member], loras: Sequence[HostLora]) -> list[str]:
    """What was merged, and what was left out and why."""
    return [*merged.facts(), *taking_part(members), *unmerged(members, loras)]


def unmerged(members: Sequence[Member], loras: Sequence[HostLora]) -> list[str]:
    """What was left out of one LoRA made of several, and why."""
    lines = []
    for member, lora in zip(members, loras, strict=True):
        if member.when != ALWAYS:
            lines.append(
                f"{member.name}: start, end and curve, NOT merged: a merged LoRA works all the time."
            )
        lines += [f"{member.name}: {note}." for note in lora.notes]
        more = len(lora.vectors) + len(lora.before)
        if more:
            lines.append(f"{member.name}: {more} biases, norms and other patches, NOT merged.")
        lines += [note.text for note in left_out(member.name, lora.left, "NOT merged", MERGE_TEXT_REASON)]
    return lines


def taking_part(members: Sequence[Member]) -> list[str]:
    """A line for each LoRA: its strength, its role, its blocks."""
    return [f"  {member.strength:g} x {member.name} ({', '.join(_part(member))})" for member in members]


def _part(member: Member) -> list[str]:
    return [member.role, f"blocks {member.blocks}"] if member.blocks else [member.role]


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of the model's weights, by canonical name."""
    return {
        key.removeprefix(PREFIX).removesuffix(SUFFIX): tuple(weight.shape)
        for key, weight in model.model.state_dict().items()
        if key.startswith(PREFIX) and key.endswith(SUFFIX)
    }
