"""What each LoRA is asked for when it makes pictures alone: given prompts, or ones with its trigger words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...klora_core.errors import KLoraError
from ...klora_core.files import trigger_words
from ...klora_core.loras import STYLE
from ..composing import Member
from ..training import without_hooks

BETWEEN = "|"
# Something to be drawn in the style, and somewhere for the subject to be.
_IN_STYLE = ("{}", "a house, {}", "a cat, {}", "a bowl of fruit, {}")
_OF_SUBJECT = ("{}", "a photo of {}", "{} in a park", "{} in a room")


def prompts_of(members: Sequence[Member], given: str) -> list[list[str]]:
    """The prompts of each LoRA: of its line in ``given``, parted by ``|``, else made of its trigger words.

    Raises KLoraError where a LoRA has neither.
    """
    lines = [line.strip() for line in given.split("\n")] if given.strip() else []
    if len(lines) > len(members) and any(lines[len(members) :]):
        raise KLoraError(
            f"these are {len(lines)} for {len(members)} LoRAs. Several prompts of one LoRA stand in its "
            f"line, with {BETWEEN} between them.",
            "Write one line of prompts for each LoRA",
        )
    lines += [""] * (len(members) - len(lines))
    return [_prompts(member, line) for member, line in zip(members, lines, strict=False)]


def prompt_of(members: Sequence[Member], given: str) -> str:
    """The prompt of the combination, or the trigger words of all LoRAs.

    Raises KLoraError where there is neither.
    """
    if given.strip():
        return given.strip()
    triggers = [triggers_of(member) for member in members]
    if "" in triggers:
        name = members[triggers.index("")].name
        raise KLoraError(
            f"the file of {name} tells none.",
            "Write what the pictures show in prompt, with the trigger words of all LoRAs",
        )
    return ", ".join(triggers)


def triggers_of(member: Member) -> str:
    """The trigger words that a LoRA's file tells, empty where it tells none."""
    return trigger_words(member.header)


def _prompts(member: Member, line: str) -> list[str]:
    if written := [each.strip() for each in line.split(BETWEEN) if each.strip()]:
        return written
    trigger = triggers_of(member)
    if not trigger:
        raise KLoraError(
            "its file tells no trigger words.", f"Write what to ask {member.name} for in prompts, in its line"
        )
    return [form.format(trigger) for form in (_IN_STYLE if member.role == STYLE else _OF_SUBJECT)]


def encoded(clip: Any, text: str) -> list:
    """A prompt as CONDITIONING. Raises KLoraError for a text encoder that puts hooks on it."""
    return list(without_hooks(clip.encode_from_tokens_scheduled(clip.tokenize(text))))
