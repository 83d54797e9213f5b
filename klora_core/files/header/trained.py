"""The folders of pictures that a LoRA was trained on, as kohya and those after it write them in a header.

How often each tag stands on the pictures of a folder, how many pictures and repeats it has, and which folders
are of regularisation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ... import written

NEARLY_ALL = 0.8
_TAGS, _FOLDERS, _CLASSES, _SETS = "ss_tag_frequency", "ss_dataset_dirs", "ss_reg_dataset_dirs", "ss_datasets"
_MOST_PICTURES = 10**9
Shown = Callable[[str], str]
"""A tag as it may be shown; empty for one that says nothing."""


@dataclass(frozen=True)
class Folder:
    """A folder of pictures: what it is called without its repeats, its tags' counts, and how many pictures
    it has, None where that is not told."""

    concept: str
    counts: Counter[str]
    pictures: int | None

    @property
    def is_bare(self) -> bool:
        """Whether its pictures have no tags but the folder's name, which kohya gives where there are none."""
        return {tag.lower() for tag in self.counts} == {self.concept}

    def is_class_of(self, other: Folder) -> bool:
        """Whether its name is what the other's ends in, one of which has no tags: ``cat`` of ``ohwx cat``."""
        return (self.is_bare or other.is_bare) and other.concept.endswith(f" {self.concept}")


def trained(metadata: Mapping[str, str], shown: Shown) -> list[Folder]:
    """The folders of what was trained, without those of regularisation, which show only its class."""
    found = written.json_of(metadata, _TAGS)
    pictures, classes = _about(metadata)
    folders = []
    for name, tags in found.items() if isinstance(found, dict) else ():
        if name not in classes and (counts := _counts(tags, shown)):
            folders.append(Folder(_concept(name, shown), counts, pictures.get(name)))
    folders = [folder for folder in folders if not any(folder.is_class_of(other) for other in folders)]
    own = [folder for folder in folders if not folder.is_bare]
    if own or not folders:
        return own
    # Nothing but names: several subjects, or a subject and a class, of which there are more pictures.
    sizes = [max(folder.counts.values()) for folder in folders]
    return folders if min(sizes) >= NEARLY_ALL * max(sizes) else []


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


def _counts(tags: Any, shown: Shown) -> Counter[str]:
    counts: Counter[str] = Counter()
    for tag, count in tags.items() if isinstance(tags, dict) else ():
        if isinstance(count, (int, float)) and not isinstance(count, bool) and 0 < count < _MOST_PICTURES:
            counts[shown(tag)] += int(count)
    counts.pop("", None)
    return +counts


def _concept(folder: str, shown: Shown) -> str:
    """What kohya calls the pictures of a folder: its name behind the repeats, ``10_ohwx cat``."""
    repeats, _, name = folder.partition("_")
    return shown(name if repeats.isdecimal() else folder).lower()
