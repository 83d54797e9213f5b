"""Calibrated merges (SSR-Merge, arXiv 2606.10617) on a network of a few numbers, against the closed form."""

from dataclasses import replace

import pytest
import torch

from klora_core.deltas import LowRank, Row
from klora_core.merges import merge, named
from klora_core.names import Slot
from klora_core.train import (
    at_strengths,
    calibrated,
    factored,
    known,
)
from tests.support.learning.flow import Learning, dense, items, rows


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
