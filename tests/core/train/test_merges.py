"""Merges that are learned, on a network of a few numbers, against dense weights and closed forms."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch

from klora_core.deltas import LowRank, Row
from klora_core.errors import KLoraError
from klora_core.merges import merge, named
from klora_core.names import Slot
from klora_core.train import (
    Options,
    Weighted,
    ZipOptions,
    alone,
    at_strengths,
    calibrated,
    distance,
    factored,
    known,
    learned,
    overlap,
    targets,
    taught,
    zip_lora,
)
from tests.support.learning.flow import SLOTS, Learning, by_weights, dense, items, rows

SHORT = Options(steps=12, batch=4, copies=24, at_once=4)


@pytest.fixture
def model():
    model = Learning()
    yield model
    model.layers.close()


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
    with pytest.raises(KLoraError, match="Got 1 strengths to start at for 2 LoRAs"):
        taught(rows(1, 2), items(5), Learning(), Options(start=(1.0,)))
    with pytest.raises(KLoraError, match="columns, rows, both"):
        Options(sides="all")
    with pytest.raises(KLoraError, match="at least one picture"):
        taught(rows(1, 2), [], Learning(), SHORT)


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


def test_zip_lora_keeps_each_lora_and_parts_their_columns(model):
    table = rows(1, 2, 3)
    factors = factored(table)
    each = [known(model, items(i), 24, i, alone(factors, i), 8) for i in range(3)]
    right = [
        by_weights(
            model.net,
            dense(model.net, table, lambda s, j, c, i=i: c * (i == j)),
            *model.noised(
                each[i].items[each[i].copies[0].item].latent,
                torch.randn(1, 6, generator=torch.Generator().manual_seed(each[i].copies[0].seed)),
                torch.tensor([each[i].copies[0].percent]),
            )[:2],
            each[i].items[0].condition,
        )
        for i in range(3)
    ]
    assert all(
        torch.allclose(known.answers[0], one, atol=1e-5) for known, one in zip(each, right, strict=True)
    )
    ones = at_strengths(factors, (1.0,) * 3)
    made = zip_lora(factors, each, model, ZipOptions(steps=60, batch=8, at_once=8))
    before = [distance(model, own, ones, 8) for own in each]
    after = [distance(model, own, made.weighted, 8) for own in each]
    assert sum(after) < 0.6 * sum(before)
    slots = list(factors.slots)
    assert float(overlap(made.weighted.columns, slots).detach()) < float(
        overlap_by_hand(ones_like(made), slots)
    )
    found = float(overlap(made.weighted.columns, slots).detach())
    assert abs(found - float(overlap_by_hand(made.weighted.columns, slots))) < 1e-4


def ones_like(made):
    return {s: [torch.ones_like(m) for m in found] for s, found in made.weighted.columns.items()}


def overlap_by_hand(columns, slots):
    total = 0.0
    for slot in slots:
        for one, other in combinations(columns[slot], 2):
            total += sum(abs(a * b) for a, b in zip(one.tolist(), other.tolist(), strict=True)) / len(one)
    return total


def test_zip_lora_ends_where_nothing_overlaps(model):
    """LoRAs of different slots learn and have no term of overlap; those that are apart are done."""
    one, two = list(SLOTS)[:2]
    table = [Row(one, (rows(1)[0].deltas[0], None)), Row(two, (None, rows(2)[1].deltas[0]))]
    factors = factored(table)
    each = [known(model, items(i), 6, i, alone(factors, i), 8) for i in range(2)]
    made = zip_lora(factors, each, model, ZipOptions(steps=5))
    assert len(made.losses) == 5
    for slot, i in ((one, 0), (two, 1)):
        assert (
            isinstance(made.weighted.columns[slot][i], torch.Tensor)
            and made.weighted.columns[slot][1 - i] is None
        )


def moments(model, table, k, shown, count):
    """M_k from the network's own inputs, by hooks of the test's own."""
    sums, numbers, hooks = {}, {}, []
    for row in table:
        down = torch.cat([d.down for d in row.deltas if d is not None])

        def note(module, args, output, slot=row.slot, down=down):
            z = (args[0] @ down.T).double()
            sums[slot] = sums.get(slot, 0) + z.T @ z
            numbers[slot] = numbers.get(slot, 0) + len(z)

        hooks.append(model.net.get_submodule(row.slot.weight).register_forward_hook(note))
    weights = dense(model.net, table, lambda s, i, c: c * (i == k))
    state = {name: value.clone() for name, value in model.net.state_dict().items()}
    model.net.load_state_dict(weights)
    known(model, shown, count, k, at_strengths(factored(table), [0.0] * len(table[0].deltas)), 4)
    model.net.load_state_dict(state)
    for hook in hooks:
        hook.remove()
    return {slot: sums[slot] / numbers[slot] for slot in sums}


def test_calibrated_is_the_papers_closed_form(model):
    table, shown = rows(1, 2, 4), [items(i) for i in range(3)]
    made = calibrated(factored(table), shown, model, count=12, at_once=4)
    each = [moments(model, table, k, shown[k], 12) for k in range(3)]
    for row in table:
        g = sum(m[row.slot] for m in each)
        q = torch.cat([each[k][row.slot][3 * k : 3 * k + 3] for k in range(3)])
        right = q @ torch.linalg.inv(g + 1e-4 * g.diagonal().mean() * torch.eye(9))
        up = torch.cat([d.up * d.scale for d in row.deltas], 1).double()
        expected = up @ right @ torch.cat([d.down for d in row.deltas]).double()
        found = made.deltas[row.slot]
        assert torch.allclose(found.up.double() @ found.down.double(), expected, atol=1e-5)
    assert made.as_sum == ()


@pytest.mark.parametrize("count", [2, 3])
def test_equal_loras_calibrated_are_the_mean(model, count):
    table, shown = rows(*[1] * count), [items(3)] * count
    made = calibrated(factored(table), shown, model, count=16, at_once=8, seed=4)
    for row in table:
        one = row.deltas[0].up @ row.deltas[0].down * row.deltas[0].scale
        found = made.deltas[row.slot]
        assert float((found.up @ found.down - one).norm()) < 1e-2 * float(one.norm())


def test_loras_of_disjoint_inputs_calibrated_are_the_sum():
    """Each one's inputs are zero where the other looks."""
    g = torch.Generator().manual_seed(1)
    downs = [torch.zeros(2, 11), torch.zeros(2, 11)]
    downs[0][:, :3], downs[1][:, 3:6] = torch.randn(2, 2, 3, generator=g)
    table = [Row(Slot("inward"), tuple(LowRank(torch.randn(16, 2, generator=g), down) for down in downs))]

    class Apart(Learning):
        def predict(self, x, sigma, condition, changes):
            given = torch.cat([x, condition.expand(len(x), -1), sigma[:, None]], dim=1)
            mask = torch.zeros(11)
            mask[slice(0, 3) if float(condition[0, 0]) == 1 else slice(3, 6)] = 1
            with self.layers.showing(changes):
                return self.net.inward(given * mask)[:, :6]

    model = Apart()
    shown = []
    for k in range(2):
        condition = torch.tensor([[1.0 if k == 0 else 0.0, 2.0, -1.0, 0.5]])
        shown.append([replace(item, condition=condition) for item in items(k)])
    made = calibrated(factored(table), shown, model, count=16)
    expected = sum(d.up @ d.down for d in table[0].deltas)
    found = made.deltas[Slot("inward")]
    assert float((found.up @ found.down - expected).norm()) < 1e-2 * float(expected.norm())
    model.layers.close()


def test_a_slot_that_no_input_reaches_is_the_plain_sum_and_told(model):
    table = [*rows(1, 2), Row(Slot("never"), tuple(rows(1, 2)[-1].deltas))]
    made = calibrated(factored(table), [items(1), items(2)], model, count=4)
    assert made.as_sum == (Slot("never"),)
    expected = merge(table, named("linear"), (1.0, 1.0)).deltas[Slot("never")]
    found = made.deltas[Slot("never")]
    assert torch.allclose(found.up @ found.down, expected.up @ expected.down, atol=1e-5)
