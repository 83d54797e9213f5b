"""What part a LoRA file has: as the user's filters say, else as its folders, its name or its text say.

No trainer writes a role into a file. Who sorts files into folders has said it; who names a file ``ink style``
has, too; and many trigger words of styles have the word in them: ``in ink style``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..loras import OTHER, STYLE, SUBJECT
from .text import LoraText, words_of_name

# Words of names and texts; those of scripts without blanks stand anywhere in a name.
_WORDS = {
    SUBJECT: "subject subjects character characters char chars person persons people celebrity celebrities "
    "object objects face faces concept concepts clothing clothes pet pets animal animals product products",
    STYLE: "style styles artstyle artstyles aesthetic aesthetics artist artists",
    OTHER: "other others speed accelerator accelerators slider sliders tool tools utility utilities detailer "
    "lcm tcd dmd dmd2 pcm lightning turbo hyper",
}
_INSIDE = {
    SUBJECT: "主体 角色 人物 キャラ 被写体 주체 인물",
    STYLE: "风格 風格 画风 画風 スタイル 스타일 화풍",
    OTHER: "其他 その他 加速 高速化 기타",
}
_OF_WORD = {word: role for role, words in _WORDS.items() for word in words.split()}
# What a subject may be called as well: only a folder of that name says it.
_OF_FOLDERS_ALONE = frozenset(["lightning", "turbo", "hyper", "tool", "tools", "speed"])


@dataclass(frozen=True)
class Roles:
    """The roles that a file may be picked for, and how that is known, in words for a report."""

    roles: tuple[str, ...]
    why: str


def parts_of(patterns: str) -> tuple[str, ...]:
    """The parts of a filter as a user writes it: comma-separated."""
    return tuple(part for each in patterns.split(",") if (part := _path(each).strip().strip("/")))


def selects(patterns: Iterable[str], name: str) -> bool:
    """Whether a filter takes the file ``name`` of the folder.

    A part with ``*``, ``?`` or ``[`` is compared to the whole path, any other is a folder in it, several
    folders in a row, or the file with or without its suffix. Case does not count.
    """
    path = _path(name)
    folders, _, file = path.rpartition("/")
    return any(
        fnmatch.fnmatchcase(path, part)
        if any(c in part for c in "*?[")
        else f"/{part}/" in f"/{folders}/{file}/" or f"/{part}/" in f"/{folders}/{file.rpartition('.')[0]}/"
        for part in parts_of(",".join(patterns))
    )


def roles_of(name: str, text: LoraText, filters: Mapping[str, tuple[str, ...]]) -> Roles:
    """The roles of a file. ``filters`` are the user's for the roles asked for: with one, a role takes what it
    selects alone.

    Without filters it is the role that its nearest folder with such a word names, else its own name, else
    what its author filed it under, else its trigger words. Where nothing tells it, any role may have it.
    """
    named = tuple(role for role, parts in filters.items() if parts and selects(parts, name))
    if named:
        return Roles(named, f"{' or '.join(named)} by your filter")
    free = tuple(role for role, parts in filters.items() if not parts)
    role, why = _known(name, text)
    if role is None:
        # Nobody means a subject or a style by a file for neither.
        return Roles(tuple(each for each in free if each != OTHER), "its role is not known")
    return Roles((role,) if role in free else (), f"{role} {why}")


def _known(name: str, text: LoraText) -> tuple[str | None, str]:
    *folders, file = name.replace("\\", "/").split("/")
    for folder in reversed(folders):
        if role := _said([folder], True):
            return role, f"by its folder {folder}"
    if role := _said([file.rpartition(".")[0]], False):
        return role, "by its name"
    if role := _said(text.filed, False):
        return role, "by its tags"
    # Of what a trigger word may be called, a style alone is told by it.
    return (STYLE, "by its trigger words") if _said(text.triggers, False) == STYLE else (None, "")


def _said(texts: Iterable[str], is_folder: bool) -> str | None:
    """The one role that words name; None for none, or several."""
    found = set()
    for text in texts:
        words = {word for word in words_of_name(text) if is_folder or word not in _OF_FOLDERS_ALONE}
        found |= {_OF_WORD[word] for word in words if word in _OF_WORD}
        found |= {role for role, inside in _INSIDE.items() if any(each in text for each in inside.split())}
    return found.pop() if len(found) == 1 else None


def _path(name: str) -> str:
    return name.replace("\\", "/").casefold()
