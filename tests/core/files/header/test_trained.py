"""The folders of pictures that a header tells of: their tags, how many pictures, which are of a class."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from klora_core.files.header.trained import Folder, trained

TAGS = "ss_tag_frequency"


def shown(tag):
    return tag.strip()


def folders(found, **more):
    header = {key: json.dumps(value) for key, value in {TAGS: found, **more}.items()}
    return [(folder.concept, dict(folder.counts), folder.pictures) for folder in trained(header, shown)]


@pytest.mark.parametrize(
    ("name", "concept"),
    [
        ("10_Ohwx Cat", "ohwx cat"),
        ("10_a_b", "a_b"),
        ("10", ""),
        ("img_cat", "img_cat"),
        ("cats", "cats"),
    ],
)
def test_what_a_folder_is_called(name, concept):
    assert folders({name: {"hat": 2}}) == [(concept, {"hat": 2}, None)]


@pytest.mark.parametrize(
    ("tags", "counts"),
    [
        ({"a": 2, " a": 3, "b": 1}, {"a": 5, "b": 1}),
        ({"a": 2.5, "b": 0.5, "c": 1.0}, {"a": 2, "c": 1}),
        ({"a": 0, "b": -1, "c": True, "d": "5", "e": None, "f": 4}, {"f": 4}),
        ({"a": 10**9 - 1, "b": 10**9, "c": 1e300}, {"a": 10**9 - 1}),
        ({" ": 9, "a": 1}, {"a": 1}),
    ],
)
def test_how_often_each_tag_stands_there(tags, counts):
    assert folders({"f": tags}) == [("f", counts, None)]


@pytest.mark.parametrize("tags", [{}, {"": 4}, [1], 3, None])
def test_a_folder_without_tags_is_none(tags):
    assert folders({"f": tags, "g": {"a": 1}}) == [("g", {"a": 1}, None)]


@pytest.mark.parametrize(
    ("count", "pictures"),
    [
        (1, 1),
        (20, 20),
        (10**9 - 1, 10**9 - 1),
        (10**9, None),
        (0, None),
        (-1, None),
        (True, None),
        (2.0, None),
    ],
)
def test_how_many_pictures_it_has(count, pictures):
    found = {"f": {"a": 1}}
    assert folders(found, ss_dataset_dirs={"f": {"img_count": count}}) == [("f", {"a": 1}, pictures)]
    sets = [None, {"subsets": [None, 3, {"image_dir": 5}, {"image_dir": "f", "img_count": count}]}]
    assert folders(found, ss_datasets=sets) == [("f", {"a": 1}, pictures)]
    # What is told under the folder's name counts more.
    told = {"f": {"img_count": 7}, "g": 3}
    assert folders(found, ss_dataset_dirs=told, ss_datasets=sets) == [("f", {"a": 1}, 7)]


@pytest.mark.parametrize(
    ("more", "is_there"),
    [
        ({"ss_reg_dataset_dirs": {"g": {}}}, False),
        ({"ss_reg_dataset_dirs": ["g"]}, True),
        ({"ss_datasets": [{"subsets": [{"image_dir": "g", "is_reg": True}]}]}, False),
        ({"ss_datasets": [{"subsets": [{"image_dir": "g", "is_reg": False}]}]}, True),
        ({"ss_datasets": [{"subsets": [{"image_dir": "g", "is_reg": 1}]}]}, True),
        ({"ss_datasets": [{"subsets": {"image_dir": "g", "is_reg": True}}]}, True),
        ({"ss_datasets": {"subsets": [{"image_dir": "g", "is_reg": True}]}}, True),
        ({"ss_datasets": [3, {"subsets": []}, {"subsets": [{"image_dir": "g", "is_reg": True}]}]}, False),
    ],
)
def test_folders_of_regularisation(more, is_there):
    found = folders({"f": {"a": 1}, "g": {"b": 1}}, **more)
    assert [name for name, _, _ in found] == (["f", "g"] if is_there else ["f"])


@pytest.mark.parametrize(
    ("found", "names"),
    [
        # A folder that has no tags but its name is a class of another whose name ends in it.
        ({"1_cat": {"cat": 9}, "2_ohwx cat": {"ohwx cat": 9}}, ["ohwx cat"]),
        ({"1_cat": {"cat": 9}, "2_ohwx cat": {"hat": 9}}, ["ohwx cat"]),
        ({"1_cat": {"cat": 9, "hat": 1}, "2_ohwx cat": {"ohwx cat": 9}}, ["ohwx cat"]),
        ({"1_cat": {"hat": 9}, "2_ohwx cat": {"fur": 9}}, ["cat", "ohwx cat"]),
        ({"1_cat": {"cat": 9}, "2_bobcat": {"bobcat": 8}}, ["cat", "bobcat"]),
        # Those with tags of their own alone, where there are any.
        ({"1_cat": {"cat": 9}, "2_dog": {"fur": 9}}, ["dog"]),
        # Names alone: of as many pictures, nearly.
        ({"a": {"a": 10}, "b": {"b": 8}}, ["a", "b"]),
        ({"a": {"a": 10}, "b": {"b": 7}}, []),
        ({"A": {"A": 1}}, ["a"]),
        ({"a, b": {"A, b": 1}}, ["a, b"]),
    ],
)
def test_whose_pictures_they_are(found, names):
    assert [name for name, _, _ in folders(found)] == names


@pytest.mark.parametrize("text", ["", "3", "[1]", "no JSON"])
def test_a_header_without_folders(text):
    assert trained({TAGS: text}, shown) == []
    assert trained({}, shown) == []


def test_a_folder_is_bare_by_all_its_tags():
    assert Folder("cat", Counter({"Cat": 1}), None).is_bare
    assert not Folder("cat", Counter({"cat": 1, "hat": 1}), None).is_bare
