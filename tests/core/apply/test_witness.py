"""Which layers ran, by what is on them: each way onto a layer, and no cost once it is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from klora_core.apply import Buffers, Target, unseen_by_all
from klora_core.apply.hooks import attach_all
from klora_core.apply.witness import Witness
from tests.support.nets import PLAIN, make


class Gate:
    open = True


class Half(nn.Module):
    """Calls one of its layers; the weight of the other it takes for itself, unless it is told to call it."""

    def __init__(self):
        super().__init__()
        self.called, self.past = nn.Linear(8, 8), nn.Linear(8, 8)
        self.calls = False

    def forward(self, x):
        x = self.called(x)
        return self.past(x) if self.calls else nn.functional.linear(x, self.past.weight, self.past.bias)


def targets():
    delta = [make("lora", 8, 8, seed) for seed in range(3)]
    rows = make("lora", 4, 8, 3)
    return (
        Target("called", None, (delta[0],)),
        Target("past", (0, 4), (rows,)),
        Target("past", (4, 4), (rows, None)),
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_a_layer_that_is_not_called_is_named_until_it_is(compiled):
    net, gate, witness = Half(), Gate(), Witness()
    buffers, x = Buffers(targets(), torch.float32), torch.ones(2, 8)
    with torch.no_grad(), attach_all(net, buffers, gate, PLAIN, compiled, witness):
        assert witness.unseen == ("called", "past")
        gate.open = False
        net.calls = True
        net(x)
        assert witness.unseen == ("called", "past"), "calls of others tell nothing of ours"
        gate.open, net.calls = True, False
        net(x)
        assert witness.unseen == ("past",)
        net.calls = True
        net(x)
        assert witness.unseen == ()
    assert not net.called._forward_hooks and "forward" not in vars(net.called)


def test_watching_a_layer_ends_with_its_first_call():
    net, x = Half(), torch.ones(2, 8)
    with torch.no_grad(), attach_all(net, Buffers(targets(), torch.float64), Gate(), PLAIN):
        before = len(net.called._forward_hooks), len(net.past._forward_hooks)
        net(x)
        assert (len(net.called._forward_hooks), len(net.past._forward_hooks)) == (before[0] - 1, before[1])


def test_a_layer_whose_target_shows_nothing_has_run_too():
    """Who works there is another question."""
    net, witness = Half(), Witness()
    buffers = Buffers(targets(), torch.float32)
    buffers.show(0, -1)
    with torch.no_grad(), attach_all(net, buffers, Gate(), PLAIN, witness=witness):
        net(torch.ones(2, 8))
    assert witness.unseen == ("past",)


@pytest.mark.parametrize(
    ("each", "expected"),
    [((), ()), ((("a", "b"),), ("a", "b")), ((("a", "b"), ("b", "c")), ("b",)), ((("a",), ()), ())],
)
def test_what_ran_on_one_copy_of_a_model_has_run(each, expected):
    assert unseen_by_all(each) == expected
