"""Trigger words from the metadata that trainers write."""

from __future__ import annotations

import json

import pytest

from klora_core.files import trigger_words


def tags(**folders):
    return {"ss_tag_frequency": json.dumps(folders)}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, ""),
        ({"modelspec.trigger_phrase": " ohwx cat "}, "ohwx cat"),
        ({"modelspec.trigger_phrase": "ohwx", **tags(a={"1girl": 9})}, "ohwx"),
        ({"modelspec.trigger_phrase": "", **tags(a={"sks": 9})}, "sks"),
        (tags(a={"ohwx": 20, "cat": 18, "sitting": 4}), "ohwx, cat"),
        (tags(a={"ohwx ": 20, "hat": 2}, b={"ohwx": 10, "hat": 27}), "ohwx, hat"),
        (tags(a={f"t{i}": 9 for i in range(9)}), "t0, t1, t2, t3, t4"),
        (tags(a={"x": 0, "y": True, "z": "9", "": 4}), ""),
        ({"ss_tag_frequency": "not json"}, ""),
        ({"ss_tag_frequency": "[1, 2]"}, ""),
        ({"ss_tag_frequency": '{"a": {"x": NaN, "y": Infinity, "ok": 2}}'}, "ok"),
        ({"ss_tag_frequency": '{"a": 3}'}, ""),
    ],
)
def test_trigger_words(metadata, words):
    assert trigger_words(metadata) == words


def test_what_a_file_says_can_be_shown():
    assert "\n" not in trigger_words({"modelspec.trigger_phrase": "two\nlines"})
    assert len(trigger_words({"modelspec.trigger_phrase": "w" * 10_000})) <= 300
