"""The words that a LoRA was trained on, from the text that its trainer wrote into the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from .errors import printable

# Keys that name a trigger as such: that of Stability's modelspec first.
_WRITTEN = ("modelspec.trigger_phrase", "trigger_phrase", "trigger_word", "ss_trigger_words")
_TAGS = "ss_tag_frequency"
# A tag that is on nearly every picture is what calls the LoRA; of more than a few, the rest is description.
_NEARLY_ALL, _MOST, _LONGEST = 0.8, 5, 300


def trigger_words(metadata: Mapping[str, str]) -> str:
    """The trigger words of a file, comma-separated; empty where its metadata (key -> text) tells none.

    What was written down as such; else, of kohya's tag counts, the tags that are on nearly all pictures, the
    most frequent first.
    """
    for key in _WRITTEN:
        if words := printable(str(metadata.get(key) or "").strip()):
            return words[:_LONGEST]
    return ", ".join(_common_tags(metadata.get(_TAGS)))


def _common_tags(text: object) -> list[str]:
    try:
        folders = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return []
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, (int, float)) and not isinstance(count, bool) and 0 < count < float("inf"):
                counts[printable(str(tag).strip())] += int(count)
    counts.pop("", None)
    if not counts:
        return []
    least = _NEARLY_ALL * max(counts.values())
    return [tag[:_LONGEST] for tag, count in counts.most_common(_MOST) if count >= least]
