"""Trigger words in a prompt: as whole words, whatever the case, the width and the marks of emphasis."""

from __future__ import annotations

import time

import pytest

from klora_core.pick.words import plain, stands_at, trigger

THERE = [
    ("ohwx cat", "a photo of ohwx cat, outdoors"),
    ("OHWX Cat", "a photo of ohwx cat"),
    ("inkwash", "Inkwash"),
    ("ohwx cat", "a (ohwx cat:1.3) in rain"),
    ("ohwx cat", "a (ohwx) (cat:.8) in rain"),
    ("ohwx cat", "an ohwx\n  cat"),
    ("saber (fate)", r"1girl, saber \(fate\), sword"),
    (r"saber \(fate\)", "saber (fate)"),
    ("cat", "the cat's tail"),
    ("cat", "a cat-like thing"),
    ("<s0><s1>", "in the style of <s0><s1>"),
    ("[V]", "a [V] dog"),
    ("STRASSE", "eine alte Straße"),
    ("café", "a cafe\N{COMBINING ACUTE ACCENT} at night"),
    ("ｉｎｋ", "ink drawing"),
    ("水墨画", "一幅水墨画风格的猫"),
    ("水墨", "水墨 cat"),
    ("スタイル", "アニメスタイルで"),
    ("ohwx", "一只ohwx猫"),
    ("Ёлка", "новая ёлка у дома"),
    ("ohwx cat.", "an ohwx cat, sitting"),
    ("\N{SPARKLES}glow", "all \N{SPARKLES}glow here"),
    # The first place is inside another word, the second is not.
    ("cat", "concatenate a cat"),
    ("aa a", "aa aa a"),
]
NOT_THERE = [
    ("cat", "concatenate"),
    ("cat", "cats"),
    ("cat", "cat_girl"),
    ("cat", "2cat"),
    ("ohwx cat", "ohwx, cat"),
    ("ohwx cat", "cat ohwx"),
    ("ohwx", ""),
    ("", "a cat"),
    (" , ", "a , b"),
    ("()", "a () b"),
    ("кот", "который"),
    ("caf", "café"),
    ("cafe", "a cafe\N{COMBINING ACUTE ACCENT}"),
    ("\N{DEVANAGARI LETTER KA}", "\N{DEVANAGARI LETTER KA}\N{DEVANAGARI VOWEL SIGN I}"),
]


@pytest.mark.parametrize(("words", "prompt"), THERE)
def test_words_that_stand_in_a_prompt(words, prompt):
    assert stands_at(trigger(words), plain(prompt)) >= 0


@pytest.mark.parametrize(("words", "prompt"), NOT_THERE)
def test_words_that_do_not(words, prompt):
    assert stands_at(trigger(words), plain(prompt)) == -1


def test_a_hostile_prompt_takes_no_time():
    start = time.process_time()
    assert stands_at(trigger("aa"), plain("a" * 20_000)) == -1
    plain("(" * 20_000 + ":" * 20_000 + " " * 20_000 + "1" * 20_000)
    assert time.process_time() - start < 1
