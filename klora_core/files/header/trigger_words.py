"""The trigger words of a LoRA: what its header names as such, else the tags of nearly all its pictures.

They may be wired into a prompt, where a wrong word is a wrong picture: in doubt there are none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from ... import written
from .trained import NEARLY_ALL, trained

# Keys that name a trigger as such: that of Stability's modelspec first.
_NAMED = (
    *("modelspec.trigger_phrase", "trigger_phrase", "trigger_word", "trigger_words", "ss_trigger_words"),
    *("activation_text", "activation text", "trained_words"),
)
_MOST_TAGS, _LONGEST = 5, 300
# The beginning of a list or a table, well written or not.
_NO_PHRASE = re.compile(r"[\[{]\s*[\[{\"'\]}]")


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
    folders = trained(metadata, _shown)
    counts = sum((folder.counts for folder in folders), Counter[str]())
    if not counts:
        return []
    most = max(counts.values())
    pictures = [folder.pictures for folder in folders]
    # Without the number of pictures: many tags that stand on one each are captions, a sentence a picture,
    # of which some pictures share one.
    if None in pictures and sum(count == 1 for count in counts.values()) > most**2:
        return []
    nearly_all = NEARLY_ALL * max(most, sum(number or 0 for number in pictures))
    # What stands on one picture may be its caption, but for the name of its folder: so ai-toolkit writes its
    # trigger.
    names = {tag for folder in folders if folder.is_bare for tag in folder.counts}
    frequent = counts.most_common(_MOST_TAGS)
    return [tag for tag, count in frequent if count >= nearly_all and (count > 1 or tag in names)]
