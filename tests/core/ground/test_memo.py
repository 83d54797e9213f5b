"""What is worked out of objects is kept as long as they live, and no longer."""

from __future__ import annotations

import gc

import pytest

from klora_core.memo import Memo


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


def test_another_object_with_the_id_of_one_that_is_gone_is_not_taken_for_it():
    kept, thing = Memo(10), Thing()
    kept.of([thing], None, lambda: "of the first")
    # As it is where an object's end has not been told yet.
    place, (_, value) = next(iter(kept._held.items()))
    kept._held[place] = (lambda: None,), value
    assert kept.of([thing], None, lambda: "of the second") == "of the second"


def test_what_fails_is_not_kept():
    kept, thing = Memo(10), Thing()
    with pytest.raises(ZeroDivisionError):
        kept.of([thing], None, lambda: 1 / 0)
    assert len(kept) == 0 and kept.of([thing], None, lambda: 3) == 3
