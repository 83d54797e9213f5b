"""How picks are learned: where it begins, in how many steps, and that it is an ordinary training."""

from dataclasses import replace

import pytest
import torch

from klora_core.train import taught
from klora_core.train.picks import Recipe, options_of, parse_picks, spread, start_of
from tests.support.learning.flow import items, rows


def picks(*rules):
    return parse_picks("\n".join(f"1, {rule}, {i}" for i, rule in enumerate(rules))).picks


def test_it_begins_at_the_sums_that_were_picked():
    assert start_of(picks("sum 1/0.5"), 2) == (1.0, 0.5)
    assert start_of(picks("sum 1/0.5", "sum 0.5", "Arrow N"), 2) == (0.75, 0.5)
    assert start_of(picks("Arrow N"), 2) == (0.71, 0.71)
    assert start_of((), 4) == (0.5,) * 4
    # A LoRA's own strength is what a sum multiplies.
    assert options_of(picks("sum 0.5"), (0.8, 1.0)).start == (0.4, 0.5)


def test_few_pictures_are_learned_in_fewer_steps():
    recipe = Recipe(steps=200)
    assert [recipe.steps_for(n) for n in (1, 2, 3, 4, 16)] == [50, 100, 150, 200, 200]
    assert options_of(picks("sum 1", "sum 0.5"), (1, 1), recipe, liked=2).steps == 200
    assert options_of((), (1, 1), replace(recipe, steps=1), liked=1).steps == 1


def test_how_varied_pictures_are():
    one, other = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    assert spread([one, other]) == pytest.approx(2.0)
    assert spread([one, other, other]) == pytest.approx(4 / 3)
    assert spread([one]) == spread([]) == 0.0


def test_learned_anew_it_is_the_same(model):
    options = options_of(picks("sum 0.7"), (1.0, 1.0), Recipe(steps=24, batch=4, copies=12), at_once=4)
    assert options.steps == 6 and options.start == (0.7, 0.7)
    first, again = (taught(rows(1, 2), items(5), model, options) for _ in range(2))
    assert first.losses == again.losses and len(first.losses) == 6
    assert all(torch.equal(first.deltas[slot].up, again.deltas[slot].up) for slot in first.deltas)
