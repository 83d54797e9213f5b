"""The forwards on instances that compiled models run, without a compiler; methods put over others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from klora_core.apply import Buffers, Swap, Target
from klora_core.apply.hooks import attach_all
from tests.support.nets import PLAIN, WIDTH, inputs, make, state

from .test_layers import PAIRS, Gate, rewritten, table, targets_of


@pytest.mark.parametrize("kinds", [PAIRS[0], PAIRS[2], PAIRS[5]], ids=" against ".join)
@torch.inference_mode()
def test_what_is_compiled_adds_all_forms_while_the_gate_is_open(net, twin, kinds):
    targets, x, gate = targets_of(kinds), inputs(2), Gate()
    buffers, before, bare = Buffers(targets, torch.float32), state(net), net(x)
    with attach_all(net, buffers, gate, PLAIN, compiled=True):
        for row in table(targets, 3, seed=2):
            for i, who in enumerate(row):
                buffers.show(i, who)
            gate.open = True
            expected = rewritten(twin, targets, row)(x.double())
            torch.testing.assert_close(net(x).double(), expected, rtol=1e-4, atol=1e-5)
            gate.open = False
            assert torch.equal(net(x), bare)
    assert state(net)[0] == before[0]


class Scaled(nn.Linear):
    """A layer whose forward takes more than its input."""

    def forward(self, x, factor, *, shift=0.0):
        return super().forward(x) * factor + shift


@pytest.mark.parametrize("compiled", [False, True])
@torch.inference_mode()
def test_further_arguments_reach_the_layer(compiled):
    layer, gate, delta = Scaled(WIDTH, WIDTH), Gate(), make("lora", WIDTH, WIDTH, 1)
    two = tuple(Target("", None, (delta,)) for _ in range(2))
    x = torch.randn(3, WIDTH)
    bare = layer(x, 2.0, shift=0.5)
    buffers = Buffers(two, torch.float32)
    with attach_all(layer, buffers, gate, PLAIN, compiled):
        buffers.show(0, 0)
        buffers.show(1, 0)
        assert torch.equal(layer(x, 2.0, shift=0.5), bare)
        gate.open = True
        torch.testing.assert_close(layer(x, 2.0, shift=0.5), bare + 2 * x @ delta.dense().T)
    assert "forward" not in vars(layer)


@torch.inference_mode()
def test_a_folded_layer_with_further_arguments_is_left_to_itself():
    """What a fold would drop: arguments that its product knows nothing of."""
    layer, gate, delta = Scaled(WIDTH, WIDTH), Gate(), make("lora", WIDTH, WIDTH, 1)
    gate.open = True
    rules = type(PLAIN)(frozenset([Scaled.forward]))
    buffers = Buffers((Target("", None, (delta,)),), torch.float32)
    x = torch.randn(500, WIDTH)
    bare = layer(x, 2.0)
    with attach_all(layer, buffers, gate, rules):
        buffers.show(0, 0)
        torch.testing.assert_close(layer(x, 2.0), bare + x @ delta.dense().T)
        torch.testing.assert_close(layer(x, factor=2.0), bare + x @ delta.dense().T)


def test_methods_put_over_each_other_come_off_in_any_order():
    class Thing:
        def name(self):
            return "class"

    thing = Thing()
    first = Swap(thing, lambda self: "first", "name")
    second = Swap(thing, lambda self: "second", "name")
    assert thing.name() == "second"
    first.remove()
    assert thing.name() == "second", "under a later one it stays"
    second.remove()
    assert thing.name() == "first"
    first.remove()
    assert thing.name() == "class" and not vars(thing)
    first.remove()
    assert thing.name() == "class"


@torch.inference_mode()
def test_a_forward_that_was_there_before_runs_under_what_is_compiled():
    layer, gate, delta = nn.Linear(WIDTH, WIDTH), Gate(), make("lora", WIDTH, WIDTH, 1)
    own = layer.forward
    layer.forward = lambda x: own(x) + 1
    x, theirs = torch.randn(3, WIDTH), layer.forward
    bare = layer(x)
    buffers = Buffers((Target("", None, (delta,)),), torch.float32)
    with attach_all(layer, buffers, gate, PLAIN, compiled=True):
        buffers.show(0, 0)
        assert torch.equal(layer(x), bare)
        gate.open = True
        torch.testing.assert_close(layer(x), bare + x @ delta.dense().T)
    assert vars(layer)["forward"] is theirs


@torch.inference_mode()
def test_a_convolution_with_two_targets_adds_both_where_it_is_compiled():
    layer, gate = nn.Conv2d(4, WIDTH, 3, padding=1), Gate()
    deltas = [make("lora", WIDTH, 36, seed) for seed in (1, 2)]
    x = torch.randn(2, 4, 6, 6)
    both = sum(delta.dense() for delta in deltas).view(layer.weight.shape)
    wanted = layer(x) + nn.functional.conv2d(x, both, padding=1)
    buffers = Buffers(tuple(Target("", None, (delta,)) for delta in deltas), torch.float32)
    gate.open = True
    with attach_all(layer, buffers, gate, PLAIN, compiled=True):
        buffers.show(0, 0)
        buffers.show(1, 0)
        torch.testing.assert_close(layer(x), wanted, rtol=1e-4, atol=1e-4)
