"""Sets of slots: what the server keeps of them, what the page asks for, and which document it then shows."""

from __future__ import annotations

import gc
import os

import pytest

from klora_core.page import PageStore
from tests.support.page import evaluate, why_not

pytestmark = pytest.mark.slow

in_node = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


class Thing:
    """What owns a set."""


def fill(store: PageStore, names: str, size: int = 1000) -> dict[str, bytes]:
    """Contents that do not pack, of owners that are gone."""
    contents = {name: os.urandom(size) for name in names}
    for name, content in contents.items():
        store.keep(name, content, Thing())
    gc.collect()
    return contents


def test_the_last_used_stay_within_the_limit():
    store = PageStore(3500)
    contents = fill(store, "abc")
    assert store.get("a") == contents["a"]
    fill(store, "d")
    assert [name for name in "abcd" if store.get(name)] == ["a", "c", "d"]
    assert len(store) == 3 and 3000 <= store.size <= 3500
    store.keep("c", contents["c"], Thing())
    fill(store, "e")
    assert [name for name in "acde" if store.get(name)] == ["c", "d", "e"]
    assert store.get("x") is None


def test_a_set_stays_as_long_as_one_of_its_owners():
    """However many come after it: its settings may be shown again without anyone being asked."""
    store, content = PageStore(3500), os.urandom(1000)
    first, second = Thing(), Thing()
    store.keep("owned", content, first)
    store.keep("owned", content, second)
    assert store.size < 1100, "the same content is kept once"
    del first
    fill(store, "abcdefghij")
    assert store.get("owned") == content
    assert store.size <= 3500
    del second
    fill(store, "klmnopqrst")
    assert store.get("owned") is None


def test_owned_ones_may_be_more_than_the_limit():
    store, owners = PageStore(3500), [Thing() for _ in range(6)]
    for i, owner in enumerate(owners):
        store.keep(str(i), os.urandom(1000), owner)
    assert len(store) == 6
    owners.clear()
    fill(store, "a")
    assert len(store) == 3 and store.size <= 3500


def test_text_is_packed():
    store, content = PageStore(10_000), b'{"name":["input_blocks.4.1.proj_in"]}' * 1000
    store.keep("a", content, owner := Thing())
    assert store.size < len(content) / 20 and store.get("a") == content
    del owner


SET = {"schema": "klora-slots/1", "columns": {"name": ["a"], "block": ["mid"], "group": ["mid"]}}
COLOURS = dict.fromkeys(("background", "panel", "band", "muted", "text", "cursor", "cursorRim"), "#14161b")
SET |= {
    "candidates": [{"label": "style", "letter": "s", "dark": "#2b6ab3", "light": "#2b6ab3"}],
    "page": {"palette": {"dark": COLOURS, "light": COLOURS}, "defaults": {}, "steps": 30},
}


def run(name: str, **changes) -> dict:
    head = {"schema": "klora-plan/1", "method": {"name": "any", "live": False}, "set": name}
    rest = {"progress": {"mode": "auto"}, "steps": 30, "passes": 1, "loras": [], "facts": []}
    return {**head, **rest, **changes}


@in_node
def test_the_page_asks_once_for_a_set_and_knows_the_last_few():
    names = [f"set{i}" for i in range(9)]
    sent = [run("set0"), run("set0", steps=4), *map(run, names[1:]), run("set1"), run("set0")]
    (found,) = evaluate([{"task": "asked", "sent": sent, "sets": dict.fromkeys(names, SET)}])
    assert found["asked"] == [f"/klora/sets/{name}" for name in [*names, "set0"]]
    assert all(found["whole"])


@in_node
def test_a_set_that_is_gone_or_damaged_gives_no_document():
    damaged = [
        {**SET, "schema": "klora-slots/2"},
        {**SET, "columns": None},
        {**SET, "columns": {**SET["columns"], "block": ["mid", "mid"]}},
        {**SET, "columns": {**SET["columns"], "block": {"values": ["mid"], "runs": [[1, 1]]}}},
        {**SET, "columns": {**SET["columns"], "block": {"values": ["mid"], "runs": [[0, 2]]}}},
        {**SET, "columns": {**SET["columns"], "block": {"values": ["mid"], "runs": [[0, 1e99]]}}},
        {**SET, "columns": {**SET["columns"], "block": 5}},
        {**SET, "candidates": []},
        [],
        "down",
    ]
    sets = {str(i): each for i, each in enumerate(damaged)}
    names = [*sets, "gone", "gone", "whole"]
    (found,) = evaluate([{"task": "asked", "sent": [run(n) for n in names], "sets": {**sets, "whole": SET}}])
    assert found["whole"] == [False] * (len(names) - 1) + [True]
    (documents,) = evaluate([{"task": "documents", "sent": [run("gone"), run("gone")], "sets": {}}])
    assert documents == [None, None]


@in_node
def test_what_is_gone_is_asked_for_again():
    ask = {"task": "again", "sent": run("late"), "sets": [{}, {"late": SET}]}
    assert evaluate([ask]) == [[False, True]]


def shown(*events: dict) -> list:
    """[plan, setTo, gone, waits, isOf] after each event."""
    (found,) = evaluate([{"task": "last", "events": list(events)}])
    return found


NOTHING = [None, None, False, True, False]


@in_node
def test_the_last_document_sent_is_shown_not_the_last_to_come():
    found = shown(
        {},
        {"sent": "1"},
        {"sent": "2"},
        {"end": "2", "whole": "B"},
        {"end": "1", "whole": "A"},
        {"sent": "3"},
        {"end": "3", "whole": None},
        {"sent": "4"},
        {"end": "4", "whole": "D"},
    )
    coming = [None, None, False, False, True]
    second = ["B", "2", False, False, True]
    gone = [None, "3", True, False, False]
    assert found[:6] == [NOTHING, coming, coming, second, second, second]
    # Nothing is better than the map of another run.
    assert found[6:] == [gone, [None, "3", True, False, True], ["D", "4", False, False, True]]


@in_node
def test_another_map_goes_on_with_what_is_there_and_what_is_coming():
    found = shown(
        {"sent": "1"},
        {"succeed": True},
        {"end": "1", "whole": "A"},
        {"sent": "2"},
        {"succeed": True},
        {"end": "2", "whole": "B"},
    )
    assert [state[0] for state in found] == [None, None, "A", "A", "A", "B"]
    assert [state[1] for state in found] == [None, None, "1", "1", "1", "2"]
