"""MoLE (arXiv 2404.13628) while it learns, against gates over whole outputs and a loop written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from klora_core.deltas import LowRank, Row
from klora_core.errors import KLoraError
from klora_core.names import Slot
from klora_core.train import Checkpointed, at_strengths, distance, known
from klora_core.train import alone as lora_alone
from klora_core.train.gates import GateOptions, TrainedGates, alone_factors, gates_to_learn, mole, weighable
from tests.support.learning import small
from tests.support.learning.flow import SLOTS, Flow, items, rows

NAMES = ("a", "b", "c")
AT_1 = lambda slot, i: 1.0  # noqa: E731


def begun(count, options, strengths=AT_1):
    found = weighable(rows(*range(1, count + 1)), NAMES[:count])
    return gates_to_learn(found, count, options, strengths), alone_factors(found, count, strengths)


def test_made_in_a_host_s_inference_mode_they_learn(model):
    options = GateOptions(steps=2)
    with torch.inference_mode():
        gates, factors = begun(2, options)
        mole(gates, answers(model, factors), model, options)
    assert any(bool(parameter.any()) for parameter in gates.parameters[::2])


def answers(model, factors, count=12):
    return [known(model, items(i), count, i, lora_alone(factors, i), 8) for i in range(factors.count)]


class Written(torch.nn.Module):
    """The network with gates over the LoRAs' whole outputs, a dense matrix each."""

    def __init__(self, table, total, strengths):
        super().__init__()
        torch.manual_seed(0)
        self.net = Flow().requires_grad_(False)
        self.total, self.strengths, self.q = total, strengths, []
        self.dense = {row.slot: [d.up @ d.down * d.scale for d in row.deltas] for row in table}
        count = len(table[0].deltas)
        self.e = {
            s: torch.zeros(count * m[0].shape[0], count).requires_grad_() for s, m in self.dense.items()
        }
        self.tau = {s: torch.ones(1).requires_grad_() for s in self.dense}
        for layer in {slot.weight for slot in self.dense}:
            self.net.get_submodule(layer).register_forward_hook(self.hook(layer))

    def hook(self, layer):
        def after(module, args, output):
            (x,) = args
            whole = torch.zeros_like(output)
            for slot in [slot for slot in self.dense if slot.weight == layer]:
                parts = [x @ m.T for m in self.dense[slot]]
                v = torch.cat(parts, 1)
                gate = torch.softmax(F.layer_norm(v, v.shape[1:], eps=0.0) @ self.e[slot] / self.tau[slot], 1)
                self.q.append(gate.mean(0))
                times = len(parts) if self.total == "N" else 1
                added = sum(
                    times * gate[:, i : i + 1] * self.strengths[i] * part for i, part in enumerate(parts)
                )
                start, length = slot.rows or (0, output.shape[1])
                whole[:, start : start + length] += added
            return output + whole

        return after

    def loss(self, x, sigma, condition, wanted, alpha):
        self.q.clear()
        error = (self.net(x, sigma, condition) - wanted).square().mean()
        return error - alpha * torch.stack(self.q).mean(0).log().sum()


@pytest.mark.parametrize(
    ("total", "strengths", "count"), [("N", (1.0, 1.0), 2), ("1", (0.7, 1.2), 2), ("N", (1.0, 0.8, 0.5), 3)]
)
def test_learned_step_by_step_as_the_equation_says(model, total, strengths, count):
    options = GateOptions(steps=8, rate=0.2, total=total)
    gates, factors = begun(count, options, lambda slot, i: strengths[i])
    each = answers(model, factors)
    made = mole(gates, each, model, options)

    written = Written(rows(*range(1, count + 1)), total, strengths)
    groups = [{"params": [e], "lr": 0.2 / len(e), "over": len(e)} for e in written.e.values()]
    groups += [{"params": [tau], "lr": 0.2, "over": 1} for tau in written.tau.values()]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    losses = []
    for step in range(8):
        for group in optimizer.param_groups:
            group["lr"] = 0.2 / group["over"] * (1 + torch.cos(torch.tensor(step / 8 * torch.pi)).item()) / 2
        optimizer.zero_grad()
        total_loss = 0.0
        for i, own in enumerate(each):
            draw = torch.Generator().manual_seed(i * 1_000_003 + step)
            copy = own.copies[torch.randperm(12, generator=draw)[0]]
            item = own.items[copy.item]
            noise = torch.randn(1, 6, generator=torch.Generator().manual_seed(copy.seed))
            x, sigma, _ = model.noised(item.latent, noise, torch.tensor([copy.percent]))
            wanted = own.answers[own.copies.index(copy)]
            total_loss = total_loss + written.loss(x, sigma, item.condition, wanted, 0.5 / count)
        total_loss.backward()
        optimizer.step()
        losses.append(total_loss.item())
    assert list(made.losses) == pytest.approx(losses, rel=1e-4)
    learned = made.gates.learned()
    for slot in SLOTS:
        torch.testing.assert_close(learned[slot.name].e, written.e[slot].detach(), rtol=1e-2, atol=2e-4)
        assert learned[slot.name].tau == pytest.approx(written.tau[slot].item(), rel=1e-3)


def test_gates_come_nearer_to_each_lora_alone_than_the_plain_sum(model):
    options = GateOptions(steps=60, rate=0.3, batch=8, at_once=8, balance=0.01)
    gates, factors = begun(3, options)
    each = answers(model, factors, 24)
    before = sum(distance(model, own, at_strengths(factors, (1.0,) * 3), 8) for own in each)
    even = sum(distance(model, own, gates, 8) for own in each)
    assert even == pytest.approx(before, rel=1e-5), "it begins as the plain sum"
    made = mole(gates, each, model, options)
    assert sum(made.losses[-10:]) < 0.8 * sum(made.losses[:10])
    assert sum(distance(model, own, gates, 8) for own in each) < 0.8 * before


@pytest.mark.parametrize("count", [2, 3])
def test_equal_loras_have_even_gates(model, count):
    found, options = weighable(rows(*[1] * count), NAMES[:count]), GateOptions(steps=30, rate=0.1)
    gates, factors = gates_to_learn(found, count, options), alone_factors(found, count)
    each = answers(model, factors)
    mole(gates, each, model, options)
    distance(model, each[0], gates, 8)
    # What moves them at all is rounding, of which Adam makes whole steps.
    assert gates.shares() == pytest.approx([1 / count] * count, abs=0.02)


def test_balance_alone_keeps_gates_even(model):
    """Weighed heavily, the mean gates stay even while the loss of answers would part them."""
    spread = []
    for weight in (0.0, 50.0):
        options = GateOptions(steps=30, rate=0.3, batch=4, at_once=4, balance=weight)
        gates, factors = begun(2, options)
        each = answers(model, factors)[:1] * 2
        mole(gates, each, model, options)
        distance(model, each[0], gates, 8)
        one, other = gates.shares()
        spread.append(abs(one - other))
    assert spread[1] < 0.3 * spread[0]


class Stop(BaseException):
    pass


def test_stopped_and_gone_on_is_the_same_bit_for_bit(model):
    options = GateOptions(steps=6, rate=0.1)
    whole, factors = begun(3, options)
    each = answers(model, factors)
    once = mole(whole, each, model, options)
    kept = []

    def stop(done, loss):
        if done == 3:
            raise Stop

    first, _ = begun(3, options)
    with pytest.raises(Stop):
        mole(first, each, model, options, callback=stop, keep=kept.append)
    assert all(parameter.grad is None for parameter in first.parameters)
    again, _ = begun(3, options)
    rest = mole(again, each, model, options, state=kept[-1])
    assert rest.losses == once.losses
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters, again.parameters, strict=True))


def test_blocks_that_are_computed_once_more_give_the_same_gradients():
    """The balance term's too: in a block under a checkpoint a gate has no graph until it runs again."""
    network = small.Network()
    found, draw = {}, torch.Generator().manual_seed(3)
    for slot, (out, n) in small.sizes(network).items():
        found[slot] = tuple(
            LowRank(torch.randn(out, 2, generator=draw), torch.randn(2, n, generator=draw)) for _ in "ab"
        )
    x, text = torch.randn(2, 5, 12, generator=draw), torch.randn(2, 3, 8, generator=draw)
    grads = []
    for weight, under in ((0.5, False), (0.5, True), (0.0, True)):
        model, gates = small.Small(network), TrainedGates(found, 2)
        with torch.no_grad():
            for i, parameter in enumerate(gates.parameters[::2]):
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i))
        with model.layers, model.layers.showing(gates):
            checkpoints = Checkpointed(network, model.layers) if under else None
            (network(x, text).square().mean() + gates.balance(weight)).backward()
            if checkpoints:
                checkpoints.close()
        grads.append([parameter.grad for parameter in gates.parameters])
    plain, computed_twice, without = grads
    for one, other in zip(plain, computed_twice, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert any((one - other).abs().max() > 1e-3 for one, other in zip(plain, without, strict=True))


def test_loras_that_share_no_layer_have_nothing_to_weigh():
    one, other = list(SLOTS)[:2]
    deltas = rows(1)[0].deltas[0], rows(1)[1].deltas[0]
    table = [Row(one, (deltas[0], None)), Row(other, (None, deltas[1]))]
    with pytest.raises(KLoraError, match="^Use LoRAs that share a layer"):
        gates_to_learn(weighable(table, NAMES), 2, GateOptions())
    assert Slot("inward") == one
