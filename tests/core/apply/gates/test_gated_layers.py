"""Gated changes on layers of any kind, against gates over whole outputs, and what a run records of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from klora_core.apply import Attachment, Buffers, Record, Spot, compose, mean_gates
from klora_core.deltas import Gated, LowRank
from klora_core.deltas.gates import Ranks
from klora_core.errors import KLoraError
from klora_core.files.learned import GateFile, LoraMark, SlotGate
from klora_core.loras import LoraInfo
from klora_core.methods import Given, making
from klora_core.names import Slot
from klora_core.plan import make_plan

ROLES, NAMES = ("subject", "style"), ("a", "b")
SLOT = Slot("input_blocks.1.q")
WHOLE = (Spot("layer", None),)


def change(out, n, rank, seed, scale=0.7):
    generator = torch.Generator().manual_seed(seed)
    return LowRank(
        torch.randn(out, rank, generator=generator), torch.randn(rank, n, generator=generator), scale
    )


class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


def gated_plan(loras, e, tau=1.3, pool="picture", total="N", strengths=(1.0, 1.0)):
    gate = GateFile(
        "g", "MoLE", pool, total, (LoraMark("a", "1"), LoraMark("b", "2")), {SLOT.name: SlotGate(e, tau)}
    )
    slots = tuple({SLOT: lora} for lora in loras)
    rows, method = making.mole(gate)(Given(slots, ROLES, NAMES, contents=lambda: ("1", "2")))
    infos = [LoraInfo(n, r, strength=s) for n, r, s in zip(NAMES, ROLES, strengths, strict=True)]
    return make_plan(rows, infos, method), rows


def attached(net, plan, rows, spots=WHOLE, dtype=torch.float32):
    composition = compose(plan, rows, lambda slot, out: spots)
    return Attachment(net, composition, Buffers(composition.targets, dtype))


def run(attachment, net, x, step=0):
    plan_who = np.full((1, 1), 2, dtype=np.int8)
    output = attachment.run(plan_who, (1.0,), lambda index: net(x))
    attachment.keep(step)
    return output


def weighed(tokens, loras, e, tau, pool, total, strengths):
    """(what is added to [B, T, out], gates): the equation, on outputs as large as they come."""
    parts = [tokens @ (lora.up @ lora.down * lora.scale).T for lora in loras]
    score = F.layer_norm(torch.cat(parts, -1), (sum(p.shape[-1] for p in parts),), eps=0.0) @ e
    score = score.mean(1, keepdim=True) if pool == "picture" else score
    gates = torch.softmax(score / tau, -1)
    s = len(loras) if total == "N" else 1
    added = sum(
        s * w * gates[..., i : i + 1] * part for i, (part, w) in enumerate(zip(parts, strengths, strict=True))
    )
    return added, gates


@pytest.mark.parametrize("pool", ["picture", "token"])
@pytest.mark.parametrize("shape", [(3, 5, 10), (3, 2, 4, 10), (4, 10)])
def test_a_linear_layer(pool, shape):
    net, loras = Net(nn.Linear(10, 12)), (change(12, 10, 3, 1), change(12, 10, 4, 2))
    e, strengths = torch.randn(24, 2, generator=torch.Generator().manual_seed(3)), (0.5, 1.5)
    plan, rows = gated_plan(loras, e, pool=pool, strengths=strengths)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    attachment = attached(net, plan, rows)
    found = run(attachment, net, x)
    added, _ = weighed(x.reshape(shape[0], -1, 10), loras, e, 1.3, pool, "N", strengths)
    with torch.no_grad():
        torch.testing.assert_close(
            found, net.layer(x) * 0 + (net(x) + added.view(*shape[:-1], 12)), rtol=1e-4, atol=1e-4
        )
    attachment.remove()
    assert not net.layer._forward_hooks and "forward" not in net.layer.__dict__


@pytest.mark.parametrize("pool", ["picture", "token"])
def test_a_convolution(pool):
    net = Net(nn.Conv2d(3, 6, 3, stride=2, padding=1))
    loras = (change(6, 27, 2, 1), change(6, 27, 3, 2))
    e = torch.randn(12, 2, generator=torch.Generator().manual_seed(3))
    plan, rows = gated_plan(loras, e, pool=pool)
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(4))
    attachment = attached(net, plan, rows)
    found = run(attachment, net, x)
    attachment.remove()
    patches = F.unfold(x, 3, stride=2, padding=1).transpose(1, 2)
    added, _ = weighed(patches, loras, e, 1.3, pool, "N", (1.0, 1.0))
    torch.testing.assert_close(found, net(x) + added.transpose(1, 2).view_as(found), rtol=1e-4, atol=1e-4)


def test_rows_of_a_layer_and_a_slot_that_the_model_keeps_apart():
    """The gate sees what all of the slot's rows would get, wherever they lie."""
    net, loras = Net(nn.Linear(10, 20)), (change(12, 10, 3, 1), change(12, 10, 4, 2))
    e = torch.randn(24, 2, generator=torch.Generator().manual_seed(3))
    plan, rows = gated_plan(loras, e)
    x = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(4))
    spots = (Spot("layer", (13, 5), (0, 5)), Spot("layer", (2, 7), (5, 7)))
    attachment = attached(net, plan, rows, spots)
    found = run(attachment, net, x)
    attachment.remove()
    added, gates = weighed(x, loras, e, 1.3, "picture", "N", (1.0, 1.0))
    wanted = net(x)
    wanted = torch.cat(
        [
            wanted[..., :2],
            wanted[..., 2:9] + added[..., 5:],
            wanted[..., 9:13],
            wanted[..., 13:18] + added[..., :5],
            wanted[..., 18:],
        ],
        -1,
    )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    shares = mean_gates([attachment.record], [0, 0], 1, 1)
    torch.testing.assert_close(torch.tensor(shares[0, 0]), gates.mean((0, 1)).double(), rtol=1e-4, atol=1e-4)


def test_a_strength_of_zero_leaves_its_share_unused():
    """As close to it as a small strength: what a LoRA would do decides, not how strongly it does it."""
    net, loras = Net(nn.Linear(10, 12)), (change(12, 10, 3, 1), change(12, 10, 4, 2))
    e = torch.randn(24, 2, generator=torch.Generator().manual_seed(3))
    x = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(4))
    for strengths in ((0.0, 1.0), (1.0, 0.0)):
        plan, rows = gated_plan(loras, e, strengths=strengths)
        attachment = attached(net, plan, rows)
        found = run(attachment, net, x)
        attachment.remove()
        added, _ = weighed(x, loras, e, 1.3, "picture", "N", strengths)
        torch.testing.assert_close(found, net(x) + added, rtol=1e-4, atol=1e-4)


def test_nothing_learned_and_sum_n_is_the_plain_sum():
    net, loras = Net(nn.Linear(10, 12)), (change(12, 10, 3, 1), change(12, 10, 4, 2))
    plan, rows = gated_plan(loras, torch.zeros(24, 2), strengths=(0.8, 0.6))
    x = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(4))
    attachment = attached(net, plan, rows)
    found = run(attachment, net, x)
    attachment.remove()
    whole = sum(s * lora.up @ lora.down * lora.scale for s, lora in zip((0.8, 0.6), loras, strict=True))
    torch.testing.assert_close(found, net(x) + x @ whole.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gates_are_worked_out_in_float32_beside_16_bit_factors(dtype):
    """Squares of outputs overflow in float16."""
    net, loras = Net(nn.Linear(10, 12).to(dtype)), (change(12, 10, 3, 1, 40.0), change(12, 10, 4, 2, 40.0))
    e = torch.randn(24, 2, generator=torch.Generator().manual_seed(3))
    plan, rows = gated_plan(loras, e)
    attachment = attached(net, plan, rows, dtype=dtype)
    assert {t.dtype for t in attachment.buffers.parameters()} == {dtype, torch.float32, torch.int64}
    x = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(4)).to(dtype)
    found = run(attachment, net, x)
    attachment.remove()
    added, gates = weighed(x.float(), loras, e, 1.3, "picture", "N", (1.0, 1.0))
    assert torch.allclose(
        found.float(), net(x).float() + added, rtol=0.02, atol=0.02 * float(added.abs().max())
    )
    shares = torch.tensor(mean_gates([attachment.record], [0], 1, 1)[0, 0])
    torch.testing.assert_close(shares, gates.mean((0, 1)).double(), rtol=0.02, atol=0.02)


def test_a_batch_of_two_is_two_pictures():
    net, loras = Net(nn.Linear(10, 12)), (change(12, 10, 3, 1), change(12, 10, 4, 2))
    e = torch.randn(24, 2, generator=torch.Generator().manual_seed(3))
    plan, rows = gated_plan(loras, e)
    x = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(4))
    attachment = attached(net, plan, rows)
    together = run(attachment, net, x)
    apart = torch.cat([run(attachment, net, x[i : i + 1]) for i in range(2)])
    attachment.remove()
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)


def test_a_grouped_convolution_is_refused_by_name():
    net = Net(nn.Conv2d(4, 4, 3, groups=2))
    plan, rows = gated_plan((change(4, 18, 2, 1), change(4, 18, 2, 2)), torch.zeros(8, 2))
    with pytest.raises(
        KLoraError, match="^Use LoRAs that leave this layer alone: layer: it is a grouped convolution"
    ):
        attached(net, plan, rows)
    assert not net.layer._forward_hooks


def test_chosen_ranks_on_a_layer():
    generator = torch.Generator().manual_seed(0)
    up, down, router = (torch.randn(shape, generator=generator) for shape in ((12, 6), (6, 10), (6, 10)))
    bias = torch.randn(6, generator=generator) * 0.1
    lora = Gated(up, torch.cat([down, router]), Ranks(bias, 2), "SMoRA", 1.5)
    rows, method = making.switch(1)(Given(({SLOT: lora},), ("subject",), ("a",)))
    plan = make_plan(rows, [LoraInfo("a", "subject", strength=0.5)], method)
    net, x = Net(nn.Linear(10, 12)), torch.randn(2, 5, 10, generator=generator)
    attachment = attached(net, plan, rows)
    found = attachment.run(np.zeros((1, 1), np.int8), (1.0,), lambda index: net(x))
    assert attachment.record is None
    attachment.remove()
    wanted = net(x).detach().clone()
    for b in range(2):
        for t in range(5):
            s = torch.sigmoid(router @ x[b, t]) + bias
            best = s.argsort(descending=True)[:2]
            g = torch.zeros(6)
            g[best] = s[best] / s[best].sum() * 2
            wanted[b, t] += 0.5 * 1.5 * up @ (g * (down @ x[b, t]))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_record_is_the_mean_of_a_step_s_calls_and_nan_where_there_was_none():
    net, loras = Net(nn.Linear(10, 12)), (change(12, 10, 3, 1), change(12, 10, 4, 2))
    e = torch.randn(24, 2, generator=torch.Generator().manual_seed(3))
    plan, rows = gated_plan(loras, e)
    xs = [torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    attachment = attached(net, plan, rows)
    for step, x in zip((0, 0, 2), xs, strict=True):
        run(attachment, net, x, step)
    attachment.remove()
    gates = [weighed(x, loras, e, 1.3, "picture", "N", (1, 1))[1].mean((0, 1)).double().numpy() for x in xs]
    found = mean_gates([attachment.record], [0], 1, 3)
    np.testing.assert_allclose(found[0], [(gates[0] + gates[1]) / 2, [np.nan] * 2, gates[2]], rtol=1e-4)


def test_copies_of_a_model_are_heard_together_and_an_empty_record_says_nothing():
    plan, rows = gated_plan((change(12, 10, 3, 1), change(12, 10, 4, 2)), torch.zeros(24, 2))
    composition = compose(plan, rows, lambda slot, out: WHOLE)
    silent = Record(composition.targets)
    assert np.isnan(mean_gates([silent], [0], 1, 2)).all()
    records = [Record(composition.targets) for _ in range(2)]
    shares = [torch.tensor([[[0.2, 0.8]]]), torch.tensor([[[0.6, 0.4]]])]
    for record, share in zip(records, shares, strict=True):
        record.ear(0)(share)
        record.keep(0)
    found = mean_gates(records, [0], 1, 1)
    np.testing.assert_allclose(found[0, 0], [0.4, 0.6], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [nn.Linear(10, 12), nn.Conv1d(10, 12, 1)], ids=["linear", "convolution"])
def test_compiled_once_whatever_step_it_is(layer):
    """No step and no choice is in the graph, and what it records is what it gave."""
    torch._dynamo.reset()
    net, loras, graphs = Net(layer), (change(12, 10, 3, 1), change(12, 10, 4, 2)), []
    e = torch.randn(24, 2, generator=torch.Generator().manual_seed(3))
    plan, rows = gated_plan(loras, e)
    composition = compose(plan, rows, lambda slot, out: WHOLE)

    def backend(module, _):
        graphs.append(module)
        return module.forward

    compiled = torch.compile(net, backend=backend, fullgraph=True)
    shape = (2, 5, 10) if isinstance(layer, nn.Linear) else (2, 10, 5)
    xs = [torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    plain = Attachment(net, composition, Buffers(composition.targets, torch.float32))
    with torch.no_grad():
        wanted = [run(plain, net, x, step) for step, x in enumerate(xs)]
        plain.remove()
        whole = Attachment(net, composition, Buffers(composition.targets, torch.float32), compiled=True)
        found = [run(whole, compiled, x, step) for step, x in enumerate(xs)]
        whole.remove()
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    assert len(graphs) == 1
    gates = [mean_gates([each.record], [0], 1, 3) for each in (plain, whole)]
    np.testing.assert_allclose(*gates, rtol=1e-5)
    torch._dynamo.reset()
