"""What is worked out of objects is kept as long as they live, and no longer."""

from __future__ import annotations

import gc
import weakref

import pytest

from klora_core.memo import Bounded, Memo


class Thing:
    """Something that can be referred to weakly."""


def test_made_once_for_the_very_objects_and_an_equal_key():
    kept, made = Memo(10), []
    one, other = Thing(), Thing()

    def of(owners, key):
        return kept.of(owners, key, lambda: made.append(key) or (owners[0] is one, key))

    for _ in range(2):
        assert of([one, other], ("a", 1)) == (True, ("a", 1))
        assert of([other, one], ("a", 1)) == (False, ("a", 1))
        assert of([one, other], ("a", 2)) == (True, ("a", 2))
        assert of([one], ("a", 1)) == (True, ("a", 1))
    assert len(made) == 4 and len(kept) == 4


@pytest.mark.parametrize("dies", [0, 1])
def test_it_goes_with_any_of_its_objects(dies):
    kept, things = Memo(10), [Thing(), Thing()]
    kept.of(things, None, lambda: "made")
    del things[dies]
    gc.collect()
    assert len(kept) == 0


def test_the_last_used_stay():
    kept, things = Memo(2), [Thing() for _ in range(3)]
    first = kept.of(things[:1], 0, Thing)
    kept.of(things[1:2], 0, Thing)
    assert kept.of(things[:1], 0, Thing) is first
    kept.of(things[2:], 0, Thing)
    assert len(kept) == 2 and kept.of(things[:1], 0, Thing) is first
    assert kept.of(things[1:2], 0, lambda: "anew") == "anew"


def test_another_object_with_the_id_of_one_that_is_gone_is_not_taken_for_it(monkeypatch):
    # As it is where an object's end has not been told yet.
    monkeypatch.setattr(weakref, "ref", lambda owner, gone: lambda: None)
    kept, thing = Memo(10), Thing()
    kept.of([thing], None, lambda: "of the first")
    assert len(kept) == 1
    assert kept.of([thing], None, lambda: "of the second") == "of the second"


def test_what_fails_is_not_kept():
    kept, thing = Memo(10), Thing()
    with pytest.raises(ZeroDivisionError):
        kept.of([thing], None, lambda: 1 / 0)
    assert len(kept) == 0 and kept.of([thing], None, lambda: 3) == 3


def test_what_is_not_worth_keeping_is_made_again_and_all_can_be_forgotten():
    kept, thing = Memo(10), Thing()
    assert kept.of([thing], None, lambda: 3, keep=lambda number: number > 3) == 3
    assert kept.of([thing], None, lambda: 4, keep=lambda number: number > 3) == 4
    assert kept.of([thing], None, lambda: 5) == 4
    kept.clear()
    assert len(kept) == 0 and kept.of([thing], None, lambda: 6) == 6


def test_values_last_used_are_kept_up_to_a_size():
    kept = Bounded(10, len)
    for key in "abc":
        kept.put(key, key * 3)
    assert kept.get("a") == "aaa" and (len(kept), kept.size) == (3, 9)
    kept.put("d", "dd")
    assert [kept.get(key) for key in "abcd"] == ["aaa", None, "ccc", "dd"] and kept.size == 8
    kept.put("d", "d")
    kept.drop("c")
    kept.drop("c")
    assert (len(kept), kept.size) == (2, 4)
    kept.put("e", "e" * 11)
    assert (len(kept), kept.size) == (0, 0), "what is larger than all room is not kept"
    kept.put("f", "f")
    kept.clear()
    assert (len(kept), kept.size, kept.get("f")) == (0, 0, None)


def test_values_in_use_stay_beyond_the_limit():
    used = {"a", "c"}
    kept = Bounded(2, in_use=used.__contains__)
    for key in "abc":
        kept.put(key, key)
    assert (len(kept), kept.get("b")) == (2, None)
    kept.put("d", "d")
    assert (len(kept), kept.get("d")) == (2, None), "there is no room beside those in use"
    used.add("e")
    kept.put("e", "e")
    assert len(kept) == 3
    used.clear()
    kept.put("f", "f")
    assert len(kept) == 2 and kept.get("f") == "f"
