"""What all merges that are learned have in common, and taught, on a network of a few numbers."""

from dataclasses import replace

import pytest
import torch

from klora_core.deltas import LowRank, Row
from klora_core.errors import KLoraError
from klora_core.merges import merge, named
from klora_core.train import (
    Options,
    Weighted,
    alone,
    at_strengths,
    distance,
    energy_shares,
    factored,
    known,
    learned,
    overlap,
    targets,
    taught,
)
from tests.support.learning.flow import SLOTS, Learning, by_weights, dense, items, rows

SHORT = Options(steps=12, batch=4, copies=24, at_once=4)


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[k].up, other[k].up) and torch.equal(one[k].down, other[k].down) for k in one
    )


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 0.8)])
def test_numbers_that_are_strengths_are_the_plain_sum_bit_for_bit(model, weights):
    table = rows(1, 2)
    expected = merge(table, named("linear"), (1.0, 1.0)).deltas
    assert same(at_strengths(factored(table), (1.0, 1.0)).folded(), expected)
    none = taught(table, items(5), model, replace(SHORT, steps=0))
    assert same(none.deltas, expected) and none.losses == ()
    own = factored(table, strengths=weights)
    assert same(at_strengths(own, (1.0, 1.0)).folded(), merge(table, named("linear"), weights).deltas)


@pytest.mark.parametrize("sides", ["columns", "rows", "both"])
def test_what_is_folded_answers_as_the_hooks_do(model, sides):
    table, shown = rows(1, 2, 3), items(5)
    made = taught(table, shown, model, replace(SHORT, sides=sides, start=(0.5, 0.7, 1.0)))
    x, sigma = torch.randn(4, 6), torch.rand(4)
    hooks = model.predict(x, sigma, shown[0].condition, made.weighted)
    one = [Row(slot, (change,)) for slot, change in made.deltas.items()]
    folded = by_weights(model.net, dense(model.net, one, lambda s, i, c: c), x, sigma, shown[0].condition)
    assert torch.allclose(hooks, folded, atol=1e-5)

    def weigh(slot, i, change):
        m, o = made.weighted.columns[slot][i], made.weighted.rows.get(slot, [1.0] * 3)[i]
        return change * m * (o if isinstance(o, float) else o[:, None])

    by_hand = by_weights(model.net, dense(model.net, table, weigh), x, sigma, shown[0].condition)
    assert torch.allclose(hooks, by_hand, atol=1e-5)
    changed = {"columns": made.weighted.columns, "rows": made.weighted.rows}
    for side, found in changed.items():
        moves = any(isinstance(v, torch.Tensor) for each in found.values() for v in each)
        assert moves == (sides in (side, "both"))


def test_taught_learns_and_more_than_the_best_sum_knows(model):
    """The pictures' own error falls, on noise that was never seen too."""
    table, shown = rows(1, 2), items(5)
    unseen = targets(model, shown, 32, seed=99)
    made = taught(table, shown, model, replace(SHORT, steps=60, start=(0.7, 0.7)))
    sums = [distance(model, unseen, at_strengths(factored(table), (s, s)), 8) for s in (0.0, 0.5, 0.7, 1.0)]
    assert distance(model, unseen, made.weighted, 8) < 0.8 * min(sums)
    assert sum(made.losses[-8:]) < sum(made.losses[:8])


def test_taught_is_the_same_however_many_are_asked_at_once_and_differs_by_seed(model):
    table, shown = rows(1, 2), items(5) + items(6)
    first = taught(table, shown, model, SHORT)
    again = taught(table, shown, model, SHORT)
    assert same(first.deltas, again.deltas) and first.losses == again.losses
    single = taught(table, shown, model, replace(SHORT, at_once=1))
    for slot, change in first.deltas.items():
        assert torch.allclose(change.down, single.deltas[slot].down, atol=1e-4)
    other = taught(table, shown, model, replace(SHORT, seed=1))
    assert not same(first.deltas, other.deltas)


class Stop(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 5, 11])
def test_interrupted_and_resumed_is_uninterrupted_bit_for_bit(model, at):
    table, shown, kept = rows(1, 2), items(5), []
    whole = taught(table, shown, model, SHORT)

    def stop(step, loss):
        if step == at:
            raise Stop

    with pytest.raises(Stop):
        taught(table, shown, model, SHORT, callback=stop, keep=kept.append)
    resumed = taught(table, shown, model, SHORT, state=kept[-1])
    assert same(resumed.deltas, whole.deltas) and resumed.losses == whole.losses


def test_a_lora_that_is_zero_has_nothing_to_learn(model):
    table = rows(1, 2, zero=(1,))
    factors = factored(table)
    assert all(found[1] is None for found in factors.slots.values())
    columns = learned(factors, lambda slot, i: 1.0, "columns")
    assert all(found[1] is None and found[0].requires_grad for found in columns.values())
    # By the plain formula: its gradient is zero.
    x = torch.randn(3, 11)
    m = torch.ones(11, requires_grad=True)
    delta = table[0].deltas[1]
    (x @ (delta.up @ (delta.down * m)).T).square().sum().backward()
    assert not m.grad.any()


def test_nothing_to_learn_is_said():
    with pytest.raises(KLoraError, match="every LoRA is zero"):
        factored(rows(1, zero=(0,)))
    with pytest.raises(KLoraError, match="change no layer"):
        factored([])
    with pytest.raises(KLoraError, match=": got 1 strengths to start at for 2 LoRAs"):
        taught(rows(1, 2), items(5), Learning(), Options(start=(1.0,)))
    with pytest.raises(KLoraError, match="columns, rows, both"):
        Options(sides="all")
    with pytest.raises(KLoraError, match="at least one picture"):
        taught(rows(1, 2), [], Learning(), SHORT)


def test_shares_of_energy_are_those_of_each_lora_s_own_matrix(model):
    """After columns and rows; a LoRA that is nothing has none, a slot of nothing is left out."""
    table = rows(1, 2, 3, zero=(1,))
    made = taught(table, items(5), model, SHORT)
    found = energy_shares(made.weighted.factors, made.deltas)
    assert set(found) == set(SLOTS)
    for row in table:
        own = []
        for i, delta in enumerate(row.deltas):
            m, o = (made.weighted.columns[row.slot][i], made.weighted.rows[row.slot][i])
            changed = None if m is None else o[:, None] * (delta.up @ delta.down * delta.scale) * m
            own.append(0.0 if changed is None else float(changed.detach().double().square().sum()))
        assert found[row.slot] == pytest.approx([each / sum(own) for each in own], rel=1e-4)
        assert found[row.slot][1] == 0
    nothing = {slot: LowRank(change.up * 0, change.down) for slot, change in made.deltas.items()}
    assert energy_shares(made.weighted.factors, nothing) == {}


def test_gradients_of_every_term_in_float64():
    model, table, shown = Learning(torch.float64), rows(1, 2), items(5)
    factors = factored(table)
    double = {
        slot: tuple(LowRank(own.up.double(), own.down.double()) for own in found)
        for slot, found in factors.slots.items()
    }
    factors = replace(factors, slots=double)
    own = known(model, shown, 2, 3, alone(factors, 0))
    slots = list(factors.slots)
    generator = torch.Generator().manual_seed(4)
    numbers = [
        (1 + 0.1 * torch.randn(SLOTS[slot][side], generator=generator, dtype=torch.float64)).requires_grad_()
        for slot in slots
        for side in (1, 1, 0, 0)
    ]

    def loss(*numbers):
        fours = [numbers[i : i + 4] for i in range(0, len(numbers), 4)]
        columns = {slot: four[:2] for slot, four in zip(slots, fours, strict=True)}
        weighted = Weighted(
            factors, columns, {slot: four[2:] for slot, four in zip(slots, fours, strict=True)}
        )
        x, sigma, _ = model.noised(
            torch.cat([i.latent for i in shown]), torch.ones(3, 6), torch.rand(3) * 0 + 0.3
        )
        answer = model.predict(x, sigma, shown[0].condition, weighted)
        return (answer - own.answers[0]).square().mean() + 0.01 * overlap(columns, slots)

    assert torch.autograd.gradcheck(loss, numbers, fast_mode=True)
    model.layers.close()
