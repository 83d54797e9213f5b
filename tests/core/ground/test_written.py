"""What a header says is read without a fault, whatever stands in it."""

from __future__ import annotations

import pytest

from klora_core import written
from tests.support.headers import LONG, TEXTS


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_is_a_fault(text):
    said = written.text_of({"key": TEXTS[text]}, "key")
    assert TEXTS[text].strip().startswith(said)
    written.json_of({"key": TEXTS[text]}, "key")


def test_a_text_of_megabytes_is_not_read():
    assert written.parsed(LONG) is None and written.parsed(LONG[: 1 << 10] + '"]') is not None


@pytest.mark.parametrize(
    "text", ["", " ", "None", "null", " NULL ", "[]", "{}", '""', "undefined", "n/a", "-"]
)
def test_a_word_for_nothing_is_nothing(text):
    assert written.text_of({"key": text}, "key") == ""
    assert written.json_of({"key": text}, "key") is None


@pytest.mark.parametrize(
    "metadata", [None, 3, "key", ["key"], {}, {"key": None}, {"key": b"text"}, {"other": "text"}]
)
def test_what_is_no_text_under_the_key_is_nothing(metadata):
    assert written.text_of(metadata, "key") == "" and written.json_of(metadata, "key") is None


def test_what_is_written_is_read():
    assert written.text_of({"key": " none of them "}, "key") == "none of them"
    assert written.json_of({"key": '{"a": [1, -2.5, "b"]}'}, "key") == {"a": [1, -2.5, "b"]}
    assert written.parsed("123456789012345678") == 123456789012345678
    assert written.parsed("1" * 400) == float("inf") and written.parsed("-" + "1" * 400) == float("-inf")
