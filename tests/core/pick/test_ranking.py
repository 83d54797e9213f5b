"""Which LoRAs a prompt picks, in which order, for which role."""

from __future__ import annotations

import numpy as np

from klora_core.loras import OTHER, STYLE, SUBJECT
from klora_core.pick import Entry, LoraText, Roles, cosines, mean, picks, ranked

KNOWN = {SUBJECT: Roles((SUBJECT,), ""), STYLE: Roles((STYLE,), ""), "": Roles((SUBJECT, STYLE), "")}


def entry(name, *triggers, role="", texts=()):
    return Entry(name, LoraText(triggers, texts), KNOWN[role])


def names(hits):
    return [hit.entry.name for hit in hits]


def picked(hits, places, strength=1.0):
    return [(pick.hit.entry.name, pick.role, pick.strength) for pick in picks(hits, places, strength)]


def test_trigger_words_come_before_any_cosine():
    entries = [entry("near", "zzz"), entry("exact", "ohwx cat"), entry("far", "yyy")]
    hits = ranked(entries, "an OHWX cat", {"near": 0.99, "exact": 0.01, "far": 0.5})
    assert names(hits) == ["exact", "near", "far"]
    assert hits[0].triggers == ("ohwx cat",) and hits[1].triggers == ()
    assert names(ranked(entries, "an OHWX cat", {})) == ["exact"], "without vectors nothing else speaks"


def test_what_many_have_counts_less_and_several_count_more():
    girls = [entry(f"girl {i}", "1girl", f"name{i}") for i in range(5)]
    hits = ranked([*girls, entry("cat", "ohwx cat")], "1girl with ohwx cat", {"girl 3": 0.5})
    assert names(hits) == ["cat", "girl 3", "girl 0", "girl 1", "girl 2", "girl 4"]
    assert [hit.weight for hit in hits[:2]] == [1.0, 1 / 5]
    assert names(ranked(girls, "1girl, name2, name4", {}))[:2] == ["girl 2", "girl 4"]
    both = [entry("one", "red", "moon"), entry("two", "moon", "sun")]
    assert names(ranked(both, "red moon and sun", {})) == ["one", "two"], "alike: by name"


def test_of_equal_weight_the_longer_words_lead():
    assert names(ranked([entry("a", "cat"), entry("b", "ohwx cat")], "ohwx cat", {})) == ["b", "a"]


def test_a_word_written_twice_counts_once():
    (hit,) = ranked([entry("a", "Cat", "cat", "CAT")], "cat", {})
    assert hit.weight == 1.0


def test_a_file_without_text_has_its_name_alone():
    silent = [entry("styles/InkWash_sdxl_v2.safetensors"), entry("12.safetensors"), entry("spoken", "zzz")]
    hits = ranked(silent, "an ink wash of a fox, v2", {})
    assert names(hits) == ["styles/InkWash_sdxl_v2.safetensors"] and hits[0].triggers == ("ink wash",)
    assert silent[0].texts == ("ink wash",) and silent[1].texts == ()
    assert ranked([entry("fox.safetensors", "zzz")], "a fox", {}) == (), "its text is what counts"


def test_each_role_gets_its_number_and_shares_its_strength():
    entries = [entry(f"s{i}", f"s{i}", role=SUBJECT) for i in range(4)] + [entry("t", "t", role=STYLE)]
    hits = ranked(entries, "s3 s2 s1 s0 t", {})
    assert picked(hits, {SUBJECT: 2, STYLE: 3, OTHER: 1}) == [
        ("s0", SUBJECT, 0.5),
        ("s1", SUBJECT, 0.5),
        ("t", STYLE, 1.0),
    ], "1 over the number that there is"
    assert picked(hits, {SUBJECT: 4}, 2.0) == [(f"s{i}", SUBJECT, 0.5) for i in range(4)]
    assert picked(hits, {STYLE: 0, OTHER: 2}) == []


def test_whose_role_is_not_known_takes_what_is_free():
    entries = [entry("any", "ohwx"), entry("ink", "inkwash")]
    hits = ranked(entries, "ohwx in inkwash", {"ink": 0.9, "any": 0.8})
    assert names(hits) == ["ink", "any"], "the longer words first"
    # As a prompt goes: what it names first is the subject.
    assert picked(hits, {SUBJECT: 1, STYLE: 1}) == [("any", SUBJECT, 1.0), ("ink", STYLE, 1.0)]
    assert picked(hits, {SUBJECT: 1}) == [("ink", SUBJECT, 1.0)]
    known = [entry("any", "ohwx"), entry("ink", "ink", role=SUBJECT)]
    hits = ranked(known, "ohwx in ink", {})
    assert names(hits) == ["any", "ink"]
    assert picked(hits, {SUBJECT: 1, STYLE: 1}) == [("ink", SUBJECT, 1.0), ("any", STYLE, 1.0)]


def test_no_file_is_picked_twice():
    hits = ranked([entry("one", "one")], "one", {})
    assert picked(hits, {SUBJECT: 3, STYLE: 3}) == [("one", SUBJECT, 1.0)]


def test_order_does_not_depend_on_the_order_of_files():
    entries = [entry(f"f{i}", "word", f"w{i % 3}") for i in range(9)]
    known = {f"f{i}": (i % 4) / 4 for i in range(9)}
    hits = ranked(entries, "word w1 w2", known)
    assert ranked(entries[::-1], "word w1 w2", known) == hits


def test_the_mean_of_vectors_and_their_cosines():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((6, 40))
    unit = [row / np.sqrt((row * row).sum()) for row in table]
    own = mean(unit[:3])
    told = sum(unit[:3]) / 3
    for found, row in zip(
        cosines([own, *[mean([u]) for u in unit]], mean([unit[4]])), [told, *unit], strict=True
    ):
        assert abs(found - float(row @ unit[4]) / float(np.sqrt(row @ row))) < 2e-3
    assert cosines([], own) == []
    nothing = mean([unit[0], -unit[0]])
    assert not nothing.any() and cosines([nothing], own) == [0.0]
