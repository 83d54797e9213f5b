"""Trigger words from the metadata that trainers write."""

from __future__ import annotations

import json

import pytest

from klora_core.files import trigger_words
from tests.support.headers import KEYS, TEXTS, hostile


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
        (tags(a={"ohwx": 10, "cat": 8, "hat": 7}), "ohwx, cat"),
        # More tags that stand on one picture than the square of the largest number are captions.
        (tags(a={"ohwx": 3, **{f"t{i}": 1 for i in range(9)}}), "ohwx"),
        (tags(a={"ohwx": 3, **{f"t{i}": 1 for i in range(10)}}), ""),
        ({"ss_tag_frequency": "not json"}, ""),
        ({"ss_tag_frequency": "[1, 2]"}, ""),
        ({"ss_tag_frequency": '{"a": {"x": NaN, "y": Infinity, "ok": 2}}'}, "ok"),
        ({"ss_tag_frequency": '{"a": 3}'}, ""),
    ],
)
def test_trigger_words(metadata, words):
    assert trigger_words(metadata) == words


REG = {"10_ohwx": {"ohwx": 20, "portrait": 9}, "100_woman": {"woman": 300}}
BARE = {"10_ohwx cat": {"ohwx cat": 20}, "1_cat": {"cat": 300}}
CAPTIONS = {f"a cat on mat number {i}": 1 for i in range(30)}


def counted(folders, **more):
    """With the number of pictures in each folder, as kohya's trainer writes it."""
    about = {name: {"n_repeats": 1, "img_count": count} for name, (_, count) in folders.items()}
    return tags(**{name: found for name, (found, _) in folders.items()}) | {
        "ss_dataset_dirs": json.dumps(about),
        **{key: json.dumps(value) for key, value in more.items()},
    }


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        # A caption a picture, with and without one that some pictures share.
        (tags(img=CAPTIONS), ""),
        (tags(img={"a cat": 1}), ""),
        (tags(img={**CAPTIONS, "a cat on a mat": 3}), ""),
        (counted({"10_cat": ({**CAPTIONS, "a cat on a mat": 3}, 33)}), ""),
        (counted({"10_cat": ({"a dog": 2, "a cat": 2}, 20)}), ""),
        # A trigger before each caption is on all of them.
        (tags(img={**CAPTIONS, "ohwx": 30}), "ohwx"),
        (counted({"10_cat": ({**CAPTIONS, "ohwx": 30}, 30)}), "ohwx"),
        # ai-toolkit writes its trigger so, and a picture alone is called as its folder.
        (tags(**{"1_p3r5on": {"p3r5on": 1}}), "p3r5on"),
        (tags(**{"1_P3R5on, Hat": {"P3R5on, Hat": 1}}), "P3R5on, Hat"),
        (counted({"100_ohwx": ({"ohwx": 1}, 1)}), "ohwx"),
        # On half of the pictures is not on nearly all.
        (counted({"10_cat": ({"ohwx": 10, "cat": 9}, 20)}), ""),
        (counted({"10_cat": ({"ohwx": 20, "cat": 19, "hat": 3}, 20)}), "ohwx, cat"),
        # Of a folder whose pictures are not counted nothing is taken for granted.
        (counted({"10_cat": ({"ohwx": 16}, 20), "10_img": ({"hat": 2}, None)}), "ohwx"),
        # Folders of regularisation, told or seen by what they are called.
        (tags(**REG), "ohwx"),
        (counted({"10_ohwx": (REG["10_ohwx"], 20), "100_woman": ({"woman": 300}, 300)}), "ohwx"),
        (tags(**REG, ss_no_folder={}), "ohwx"),
        (tags(**BARE), "ohwx cat"),
        (tags(**{**BARE, "1_cat": {"cat": 300, "smile": 80}}), "ohwx cat"),
        (
            {
                **tags(**{**REG, "100_woman": {"woman": 300, "smile": 290}}),
                "ss_reg_dataset_dirs": '{"100_woman": {}}',
            },
            "ohwx",
        ),
        (
            tags(**{**REG, "100_woman": {"woman": 300, "smile": 290}})
            | {"ss_datasets": json.dumps([{"subsets": [{"image_dir": "100_woman", "is_reg": True}]}])},
            "ohwx",
        ),
        # Nothing but names: a subject and its class can't be told apart, two subjects are both meant.
        (tags(**{"10_ohwx": {"ohwx": 20}, "50_person": {"person": 300}}), ""),
        (tags(**{"10_alice": {"alice": 20}, "10_bob": {"bob": 18}}), "alice, bob"),
        (tags(**{"10_ohwx face": {"ohwx": 20, "face": 20}, "5_ohwx hat": {"ohwx": 18, "hat": 9}}), "ohwx"),
    ],
)
def test_what_is_on_nearly_all_pictures_of_the_subject(metadata, words):
    assert trigger_words(metadata) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *(
            (nothing, "sks")
            for nothing in ("None", "null", "NULL", "[]", '""', "{}", " ", "[null]", '["", "None"]')
        ),
        ('["ohwx", " cat "]', "ohwx, cat"),
        ("['ohwx', 'cat']", "ohwx, cat"),
        ('["ohwx", null, 3, ["in"], "ohwx", "None"]', "ohwx"),
        ('"ohwx cat"', "ohwx cat"),
        ('["cat\'s eye"]', "cat's eye"),
        ('{"trigger": "ohwx"}', "sks"),
        ('["ohwx", "cat"', "sks"),
        ("[ohwx] cat", "[ohwx] cat"),
        ('"ohwx" cat', '"ohwx" cat'),
        ("ohwx,\n  cat,", "ohwx, cat"),
        ("none of them", "none of them"),
        ("1234", "1234"),
    ],
)
@pytest.mark.parametrize("key", ["modelspec.trigger_phrase", "ss_trigger_words"])
def test_what_is_written_down_as_such(key, text, words):
    assert trigger_words({key: text, **tags(a={"sks": 9})}) == words


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("w" * 300, "w" * 300),
        ("w" * 301, ""),
        (f"{'w' * 300},x", "w" * 300),
        (f"{'w' * 301},x", ""),
        (f"{'w' * 297},x,y", f"{'w' * 297},x"),
        (f"a,b {'w' * 300}", "a"),
        ("X rays of X", "X rays of X"),
        (f"a{' ' * 1198}b", "a b"),
        (f"a{' ' * 1199}b", "a"),
    ],
)
def test_a_long_phrase_ends_where_one_of_its_parts_does(phrase, words):
    assert trigger_words({"trigger_phrase": phrase}) == words


def test_a_list_has_as_many_words_as_there_is_room_for():
    words = ["a" * 100, "b" * 100, "c" * 96, "d"]
    assert trigger_words({"trigger_words": json.dumps(words)}) == ", ".join(words[:3])
    assert trigger_words({"trigger_words": json.dumps([f"{'w' * 301},x", "b"])}) == "b"
    words = ["a" * 100, "b" * 100, "c" * 97, "d"]
    assert trigger_words({"trigger_words": json.dumps(words)}) == ", ".join(words[:2])


def test_what_a_file_says_can_stand_in_a_prompt():
    assert trigger_words({"modelspec.trigger_phrase": "two\nlines\x1b[2J\u200b"}) == "two lines [2J"
    assert trigger_words({"modelspec.trigger_phrase": "w" * 10_000}) == ""
    phrase = ", ".join(f"word {i}" for i in range(100))
    found = trigger_words({"modelspec.trigger_phrase": phrase})
    assert 250 < len(found) <= 300 and set(found.split(", ")) < set(phrase.split(", "))
    listed = trigger_words({"trigger_words": json.dumps(phrase.split(", "))})
    assert listed == found


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("key", KEYS)
def test_no_header_is_a_fault(key, text):
    found = trigger_words(hostile(key, text))
    assert found.isprintable() and len(found) <= 300
    if text not in ("a number of more digits", "terminal"):
        assert found == ""
    # What is right beside it is read.
    assert key in ("ss_tag_frequency", "modelspec.trigger_phrase") or (
        trigger_words({**tags(a={"sks": 9}), **hostile(key, text)}) in ("sks", found)
    )
