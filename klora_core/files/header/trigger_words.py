"""The trigger words of a LoRA: what its header names as such, else the tags of nearly all its pictures.

They may be wired into a prompt, where a wrong word is a wrong picture: in doubt there are none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ... import written

# Keys that name a trigger as such: that of Stability's modelspec first.
_NAMED = (
    *("modelspec.trigger_phrase", "trigger_phrase", "trigger_word", "trigger_words", "ss_trigger_words"),
    *("activation_text", "activation text", "trained_words"),
)
# kohya's, which those after it write too: how often each tag stands on a folder's pictures, how many pictures
# and repeats a folder has, and which folders are of regularisation.
_TAGS, _FOLDERS, _CLASSES, _SETS = "ss_tag_frequency", "ss_dataset_dirs", "ss_reg_dataset_dirs", "ss_datasets"
_NEARLY_ALL, _MOST_TAGS, _LONGEST, _MOST_PICTURES = 0.8, 5, 300, 10**9
# The beginning of a list or a table, well written or not.
_NO_PHRASE = re.compile(r"[\[{]\s*[\[{\"'\]}]")


@dataclass(frozen=True)
class _Folder:
    """A folder of pictures: what it is called without its repeats, its tags' counts, and how many pictures
    it has, None where that is not told."""

    concept: str
    counts: Counter[str]
    pictures: int | None

    @property
    def is_bare(self) -> bool:
        """Whether its pictures have no tags but the folder's name, which kohya gives where there are none."""
        return {tag.lower() for tag in self.counts} == {self.concept}

    def is_class_of(self, other: _Folder) -> bool:
        """Whether its name is what the other's ends in, one of which has no tags: ``cat`` of ``ohwx cat``."""
        return (self.is_bare or other.is_bare) and other.concept.endswith(f" {self.concept}")


def trigger_words(metadata: Mapping[str, str]) -> str:
    """The trigger words in a header's text by key, comma-separated; empty where it tells none.

    What was written down as such; else, of kohya's tag counts, the tags that are on nearly all pictures of
    what was trained, the most frequent first.
    """
    for key in _NAMED:
        if words := _joined(_named(written.text_of(metadata, key))):
            return words
    return _joined(_common(metadata))


def _named(text: str) -> list[str]:
    """What is written under a key for it: a phrase as it is, or the words of a list in JSON or Python."""
    if text[:1] not in ("[", '"', "{"):
        return [text]
    found = written.parsed(text)
    if found is None:
        found = written.parsed(text.replace("'", '"'))
    if isinstance(found, str):
        return [found]
    if isinstance(found, list):
        return [word for word in found if isinstance(word, str)]
    return [] if _NO_PHRASE.match(text) else [text]


def _joined(words: Iterable[str]) -> str:
    """The words as one line of a prompt, each once, as many as there is room for; none is cut."""
    line = ""
    for word in dict.fromkeys(map(_shown, words)):
        longer = f"{line}, {word}" if line else word
        if word and len(longer) <= _LONGEST:
            line = longer
        elif word:
            break
    return line


def _shown(word: str) -> str:
    """A word as a prompt can have it: what is not visible becomes a blank. Empty for a word for nothing."""
    visible = " ".join("".join(c if c.isprintable() else " " for c in word[: 4 * _LONGEST]).split())
    if len(visible) > _LONGEST:
        # A long phrase ends where one of its parts does.
        visible = visible[: _LONGEST + 1].rpartition(",")[0]
    return written.said(visible.strip(" ,"))


def _common(metadata: Mapping[str, str]) -> list[str]:
    folders = _trained(metadata)
    counts = sum((folder.counts for folder in folders), Counter[str]())
    if not counts:
        return []
    most = max(counts.values())
    pictures = [folder.pictures for folder in folders]
    # Without the number of pictures: many tags that stand on one each are captions, a sentence a picture,
    # of which some pictures share one.
    if None in pictures and sum(count == 1 for count in counts.values()) > most**2:
        return []
    nearly_all = _NEARLY_ALL * max(most, sum(number or 0 for number in pictures))
    # What stands on one picture may be its caption, but for the name of its folder: so ai-toolkit writes its
    # trigger.
    names = {tag for folder in folders if folder.is_bare for tag in folder.counts}
    frequent = counts.most_common(_MOST_TAGS)
    return [tag for tag, count in frequent if count >= nearly_all and (count > 1 or tag in names)]


def _trained(metadata: Mapping[str, str]) -> list[_Folder]:
    """The folders of what was trained, without those of regularisation, which show only its class."""
    found = written.json_of(metadata, _TAGS)
    pictures, classes = _about(metadata)
    folders = []
    for name, tags in found.items() if isinstance(found, dict) else ():
        if name not in classes and (counts := _counts(tags)):
            folders.append(_Folder(_concept(name), counts, pictures.get(name)))
    folders = [folder for folder in folders if not any(folder.is_class_of(other) for other in folders)]
    own = [folder for folder in folders if not folder.is_bare]
    if own or not folders:
        return own
    # Nothing but names: several subjects, or a subject and a class, of which there are more pictures.
    sizes = [max(folder.counts.values()) for folder in folders]
    return folders if min(sizes) >= _NEARLY_ALL * max(sizes) else []


def _about(metadata: Mapping[str, str]) -> tuple[dict[str, int], set[str]]:
    """(how many pictures a folder has, where that is told; the folders of regularisation)."""
    trained, classes = (written.json_of(metadata, key) for key in (_FOLDERS, _CLASSES))
    about = dict(trained) if isinstance(trained, dict) else {}
    of_class = set(classes) if isinstance(classes, dict) else set()
    sets = written.json_of(metadata, _SETS)
    for each in sets if isinstance(sets, list) else ():
        subsets = each.get("subsets") if isinstance(each, dict) else None
        for subset in subsets if isinstance(subsets, list) else ():
            if isinstance(subset, dict) and isinstance(name := subset.get("image_dir"), str):
                of_class.update([name] if subset.get("is_reg") is True else ())
                about.setdefault(name, subset)
    pictures = {name: number for name, info in about.items() if (number := _pictures(info)) is not None}
    return pictures, of_class


def _pictures(info: Any) -> int | None:
    number = info.get("img_count") if isinstance(info, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return number if 0 < number < _MOST_PICTURES else None


def _counts(tags: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    for tag, count in tags.items() if isinstance(tags, dict) else ():
        if isinstance(count, (int, float)) and not isinstance(count, bool) and 0 < count < _MOST_PICTURES:
            counts[_shown(tag)] += int(count)
    counts.pop("", None)
    return +counts


def _concept(folder: str) -> str:
    """What kohya calls the pictures of a folder: its name behind the repeats, ``10_ohwx cat``."""
    repeats, _, name = folder.partition("_")
    return _shown(name if repeats.isdecimal() else folder).lower()
