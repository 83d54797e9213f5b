"""Gates while they learn: gradients, the balance term, and what their files do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from klora_core.apply import Attachment, Buffers, Spot, compose
from klora_core.deltas import Dense, LowRank
from klora_core.errors import KLoraError
from klora_core.files.learned import GateFile, LoraMark, gate_of, gate_tensors
from klora_core.loras import LoraInfo
from klora_core.methods import Given, making
from klora_core.names import Slot
from klora_core.plan import make_plan
from klora_core.train import Layers
from klora_core.train.gates import TrainedGates, balance, weighable

OUT, N = 8, 6
ONE, TWO, ALONE = (Slot(f"input_blocks.{i}.1.transformer_blocks.0.attn1.to_q") for i in (1, 2, 4))
LAYERS = {ONE: "one", TWO: "two", ALONE: "alone"}


class Net(nn.Module):
    """Three layers in a row, one of them a convolution."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.alone = nn.Linear(N, OUT), nn.Linear(OUT, OUT)
        self.two = nn.Conv1d(OUT, OUT, 3, padding=1)
        self.requires_grad_(False)

    def forward(self, x):
        x = torch.tanh(self.one(x))
        x = torch.tanh(self.two(x.transpose(1, 2))).transpose(1, 2)
        return self.alone(x)


def where(slot, out):
    return (Spot(LAYERS[slot], None),)


def change(out, n, rank, seed):
    generator = torch.Generator().manual_seed(seed)
    return LowRank(
        torch.randn(out, rank, generator=generator), torch.randn(rank, n, generator=generator), 0.5
    )


@pytest.fixture
def loras():
    first = {ONE: change(OUT, N, 2, 1), TWO: change(OUT, 3 * OUT, 3, 2), ALONE: change(OUT, OUT, 2, 3)}
    second = {ONE: change(OUT, N, 3, 4), TWO: change(OUT, 3 * OUT, 2, 5)}
    return first, second


def found(loras):
    return {slot: tuple(lora.get(slot) for lora in loras) for slot in LAYERS}


def x():
    return torch.randn(2, 5, N, generator=torch.Generator().manual_seed(9))


def test_even_gates_and_sum_n_are_the_plain_sum(loras):
    net, gates = Net(), TrainedGates(found(loras), 2)
    with Layers(net, dict.fromkeys(LAYERS, OUT), where) as layers, layers.showing(gates):
        made = net(x())
    plain = Net()
    for slot, name in LAYERS.items():
        weight = plain.get_submodule(name).weight
        weight += sum(lora[slot].dense() for lora in loras if slot in lora).view_as(weight)
    torch.testing.assert_close(made, plain(x()), rtol=1e-5, atol=1e-5)
    assert len(gates.parameters) == 4, "e and tau of the two layers that both change"


@pytest.mark.parametrize(("pool", "total"), [("picture", "N"), ("token", "1")])
def test_a_file_does_in_a_run_what_was_learned(loras, pool, total):
    net, gates = Net(), TrainedGates(found(loras), 2, pool, total)
    optimizer = torch.optim.AdamW(gates.parameters, lr=0.05, weight_decay=0.0)
    with Layers(net, dict.fromkeys(LAYERS, OUT), where) as layers, layers.showing(gates):
        losses = []
        for _ in range(15):
            optimizer.zero_grad()
            gates.forget()
            loss = (net(x()) - 1).square().mean() + gates.balance(0.5)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        learned = net(x()).detach()
    assert losses[-1] < losses[0] and all(p.grad is not None for p in gates.parameters)
    marks = (LoraMark("a", "1"), LoraMark("b", "2"))
    file = gate_of("g", *gate_tensors(GateFile("g", "MoLE", pool, total, marks, gates.learned())))
    rows, method = making.mole(file)(
        Given(tuple(loras), ("subject", "style"), ("a", "b"), contents=lambda: ("1", "2"))
    )
    plan = make_plan(rows, [LoraInfo("a", "subject"), LoraInfo("b", "style")], method)
    composition = compose(plan, rows, where)
    attachment = Attachment(net, composition, Buffers(composition.targets, torch.float32))
    ran = attachment.run(np.full((1, 3), 2, np.int8), (1.0,), lambda index: net(x()))
    attachment.remove()
    torch.testing.assert_close(ran, learned, rtol=1e-4, atol=1e-4)


def test_gradients_of_the_whole_loss_are_its_differences(loras):
    """In float64, the balance term with it, entry by entry."""
    double = [
        {slot: LowRank(d.up.double(), d.down.double(), d.scale) for slot, d in lora.items()} for lora in loras
    ]
    net, gates = Net().double(), TrainedGates(found(double), 2)
    with torch.no_grad():
        for i, parameter in enumerate(gates.parameters):
            parameter += (
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)).double()
            )

    def loss():
        gates.forget()
        return net(x().double()).square().mean() + gates.balance(0.5)

    with Layers(net, dict.fromkeys(LAYERS, OUT), where) as layers, layers.showing(gates):
        loss().backward()
        for parameter in gates.parameters:
            flat = parameter.detach().flatten()
            for at in range(0, len(flat), 5):
                ends = []
                for step in (1e-6, -1e-6):
                    flat[at] += step
                    ends.append(float(loss().detach()))
                    flat[at] -= step
                wanted = (ends[0] - ends[1]) / 2e-6
                assert float(parameter.grad.flatten()[at]) == pytest.approx(wanted, rel=1e-5, abs=1e-9)


def test_the_balance_term_has_a_gradient_and_its_least_where_gates_are_even(loras):
    net, gates = Net(), TrainedGates(found(loras), 2)
    with Layers(net, dict.fromkeys(LAYERS, OUT), where) as layers, layers.showing(gates):
        net(x())
        even = gates.balance(1.0)
        assert float(even) == pytest.approx(2 * np.log(2), rel=1e-6)
        assert gates.shares() == pytest.approx([0.5, 0.5])
        gates.forget()
        with torch.no_grad():
            gates.parameters[0].add_(torch.randn(2 * OUT, 2, generator=torch.Generator().manual_seed(1)))
        made = net(x())
        uneven = gates.balance(1.0)
        # What nothing but the balance gives a gradient.
        (made.sum() * 0 + uneven).backward()
    assert float(uneven) > float(even)
    assert all(bool(p.grad.any()) for p in gates.parameters[:1])


def test_a_lora_that_is_zero_in_a_layer_and_one_of_another_kind(loras):
    """What is learned with is what is used: a zero LoRA has its place in e, and another kind none."""
    first, second = loras
    zero = LowRank(torch.zeros(OUT, 2), torch.ones(2, N))
    given = Given(
        ({**first, ONE: zero}, second), ("subject", "style"), ("a", "b"), contents=lambda: ("1", "2")
    )
    rows, names = given.apart()
    gates = TrainedGates(weighable(rows.competing, names), 2)
    marks = (LoraMark("a", "1"), LoraMark("b", "2"))
    method = making.mole(GateFile("g", "MoLE", "picture", "N", marks, gates.learned()))(given)[1]
    assert method.gated == (True, True, False) and method.unused == 0
    other = {**second, ONE: Dense(torch.randn(OUT, N), 2)}
    met, names = Given((first, other), ("subject", "style"), ("a", "b")).apart()
    with pytest.raises(KLoraError, match=f"^Use a plain LoRA, .*: b: layer {ONE.name} is whole matrix"):
        weighable(met.competing, names)


def test_the_balance_term_against_a_loop():
    gates = [
        torch.softmax(torch.randn(2, 3, n, generator=torch.Generator().manual_seed(n)), -1) for n in (3, 2)
    ]
    members = [[0, 1, 2], [0, 2]]
    q = []
    for lora in range(3):
        means = [
            float(g[..., m.index(lora)].mean()) for g, m in zip(gates, members, strict=True) if lora in m
        ]
        q.append(sum(means) / len(means))
    assert float(balance(gates, members, 3)) == pytest.approx(-float(np.log(q).sum()), rel=1e-6)
