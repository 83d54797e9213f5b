"""What a LoRA's pictures show, from its header: the texts that a search reads."""

from __future__ import annotations

import json

import pytest

from klora_core.files import captions, filed_under


def tags(**folders):
    return {"ss_tag_frequency": json.dumps(folders)}


SENTENCES = {f"a cat sits on {i} mats": 9 - i for i in range(6)}


@pytest.mark.parametrize(
    ("metadata", "texts"),
    [
        ({}, ()),
        # Trigger words, then what it is filed under, then tags, those of two folders counted together.
        (
            {
                "modelspec.trigger_phrase": "ohwx, grass",
                "modelspec.tags": "animal, hat",
                **tags(a={"hat": 1, "grass": 2, "sky": 3}, b={"grass": 2, "tree": 1}),
            },
            ("ohwx, grass, animal, hat, sky, tree",),
        ),
        # Five words are a sentence, four are a tag; the description comes before sentences.
        (
            {
                "modelspec.description": "My  cat,\n\x1bposing,",
                **tags(a={"a cat on mats": 3, "a cat on the mats": 1, "the cat on the mats": 2}),
            },
            ("a cat on mats", "My cat, posing", "the cat on the mats", "a cat on the mats"),
        ),
        ({"modelspec.trigger_phrase": "x", **tags(a=SENTENCES)}, ("x", *SENTENCES)[:4]),
        ({"modelspec.description": "hat", "modelspec.tags": "hat"}, ("hat",)),
        ({"modelspec.description": "None", "modelspec.tags": "none,-"}, ()),
        # What has no room is left out, and what comes behind it may have some.
        (
            {"modelspec.tags": f"{'a' * 200},{'b' * 99},{'c' * 98},{'d' * 97}"},
            (f"{'a' * 200}, {'c' * 98}",),
        ),
    ],
)
def test_captions(metadata, texts):
    assert captions(metadata) == texts


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("w" * 300, "w" * 300),
        ("w" * 301, "w" * 300),
        (f"{'w' * 299} x", "w" * 299),
        (f"{'w' * 298} x", f"{'w' * 298} x"),
        (f"{'w' * 298} xy", f"{'w' * 298}"),
        (f"a {'w' * 298} x", f"a {'w' * 298}"),
        (f"{'w' * 301} x", "w" * 300),
        (f"a b {'w' * 400}", "a b"),
        ("X rays of X", "X rays of X"),
        ("a, b  ,", "a, b"),
        (f"a{' ' * 1199}b", "a"),
        (f"a{' ' * 1198}b", "a b"),
    ],
)
def test_a_text_is_cut_behind_a_word(text, cut):
    assert captions({"modelspec.description": text}) == (cut,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("animal, photo of a cat,,None", ("animal", "photo of a cat")),
        ("", ()),
        (",".join(["tag"] * 301), ("tag",) * 300),
    ],
)
def test_what_it_is_filed_under(text, words):
    assert filed_under({"modelspec.tags": text}) == words
