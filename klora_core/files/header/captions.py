"""What a LoRA's pictures show, in the words of its header: for a search, not for a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ... import written
from .trained import trained
from .trigger_words import trigger_words

_LONGEST, _MOST = 300, 4
# Characters of one entry that are looked at, and words from which on it is a sentence.
_LOOKED_AT, _SENTENCE = 4 * _LONGEST, 5
_DESCRIPTION, _KINDS = "modelspec.description", "modelspec.tags"


def captions(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """At most four texts: trigger words with the most frequent tags, its description, and sentences of its
    captions, the most frequent first. Empty where a header tells none of these."""
    counts: Counter[str] = Counter()
    for folder in trained(metadata, _cut):
        counts.update(folder.counts)
    frequent = [text for text, _ in counts.most_common()]
    tags = [text for text in frequent if not _is_sentence(text)]
    words = trigger_words(metadata).split(", ")
    line = _line([*words, *filed_under(metadata), *tags])
    sentences = [text for text in frequent if _is_sentence(text)]
    texts = [line, _cut(written.text_of(metadata, _DESCRIPTION)), *sentences]
    return tuple(dict.fromkeys(filter(None, texts)))[:_MOST]


def filed_under(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What its author filed it under: Stability's tags of a model."""
    return tuple(filter(None, map(_cut, written.text_of(metadata, _KINDS)[:_LOOKED_AT].split(","))))


def _line(words: list[str]) -> str:
    line = ""
    for word in dict.fromkeys(filter(None, words)):
        longer = f"{line}, {word}" if line else word
        if len(longer) <= _LONGEST:
            line = longer
    return line


def _is_sentence(text: str) -> bool:
    return len(text.split()) >= _SENTENCE


def _cut(text: str) -> str:
    """One visible line of it, cut behind a word; empty for a word for nothing."""
    visible = " ".join("".join(c if c.isprintable() else " " for c in text[:_LOOKED_AT]).split())
    if len(visible) > _LONGEST:
        visible = visible[: _LONGEST + 1].rpartition(" ")[0] or visible[:_LONGEST]
    return written.said(visible.strip(" ,"))
