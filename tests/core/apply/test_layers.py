"""A plain torch module through a run with switches, against weights rewritten densely in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from klora_core.apply import Buffers, HostRules, Target, additions
from klora_core.apply.hooks import attach_all
from klora_core.methods import NOBODY
from tests.support.nets import PLAIN, WIDTH, inputs, make, state


class Gate:
    open = False


PAIRS = [
    ("lora", "larger lora"),
    ("lora", "dense"),
    ("lora", "hadamard"),
    ("kron", "lora"),
    ("kron of pairs", "kron"),
    ("kron rows", "hadamard"),
    ("kron reordered", "dense"),
    ("hadamard", "kron of pairs"),
    ("loha of high rank", "hadamard"),
]
PLACES = {
    "inward": (None, WIDTH, 36),
    "down": (None, WIDTH, WIDTH * 9),
    "each": (None, WIDTH, 9),
    "qkv": ((WIDTH, WIDTH), WIDTH, WIDTH),
    "out.0": (None, WIDTH, WIDTH),
}


def targets_of(kinds, strengths=(1.0, 1.0)):
    targets = []
    for seed, (layer, (rows, out, n)) in enumerate(PLACES.items()):
        pair = [make(kind, out, n, 10 * seed + i).scaled(strengths[i]) for i, kind in enumerate(kinds)]
        targets.append(Target(layer, rows, (*pair, None)))
    # Two targets on one module, as of fused weights.
    pair = [make(kind, WIDTH, WIDTH, 90 + i).scaled(strengths[i]) for i, kind in enumerate(kinds)]
    targets.append(Target("qkv", (2 * WIDTH, WIDTH), tuple(pair)))
    return tuple(targets)


def table(targets, steps, seed):
    """[steps, targets]: a candidate or nobody."""
    g = torch.Generator().manual_seed(seed)
    rows = [
        [int(torch.randint(-1, len(t.candidates), (), generator=g)) for t in targets] for _ in range(steps)
    ]
    return [[NOBODY] * len(targets), [0] * len(targets), *rows, [1] * len(targets)]


def rewritten(net, targets, row):
    """The network in float64 with the chosen deltas in its weights."""
    net = copy.deepcopy(net).double()
    for target, who in zip(targets, row, strict=True):
        delta = None if who == NOBODY else target.candidates[who]
        if delta is None:
            continue
        weight = net.get_submodule(target.layer).weight
        start, length = target.rows or (0, len(weight))
        weight.data.flatten(1)[start : start + length] += delta.dense().double()
    return net


@pytest.mark.parametrize("kinds", PAIRS, ids=" against ".join)
@pytest.mark.parametrize("rules", [HostRules(), PLAIN], ids=["beside", "folding where it pays"])
@pytest.mark.parametrize(("batch", "tile"), [(1, 1 << 22), (1, 100), (40, 1 << 22), (40, 300)])
@torch.inference_mode()
def test_a_run(net, twin, kinds, rules, batch, tile, monkeypatch):
    monkeypatch.setattr(additions, "TILE", tile)
    targets, x, gate = targets_of(kinds, (0.7, -1.3)), inputs(batch), Gate()
    buffers = Buffers(targets, torch.float32)
    before, bare, seen = state(net), net(x), []
    kept = [id(p) for p in buffers.parameters()]
    with attach_all(net, buffers, gate, rules):
        for row in table(targets, 6, seed=batch):
            for i, who in enumerate(row):
                buffers.show(i, who)
            gate.open = True
            found = net(x)
            gate.open = False
            expected = rewritten(twin, targets, row)(x.double())
            torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
            seen.append(found)
            assert torch.equal(net(x), bare), "the gate is closed"
    assert [id(p) for p in buffers.parameters()] == kept
    assert (seen[1] - seen[-1]).norm() > 1e-2 * bare.norm()
    torch.testing.assert_close(seen[0], bare, rtol=0, atol=0)
    after = state(net)
    assert after[0] == before[0]
    assert all(torch.equal(after[1][k], v) for k, v in before[1].items())


@pytest.mark.parametrize("kinds", PAIRS, ids=" against ".join)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_buffers_in_half_precision_beside_float32_layers(net, twin, kinds, dtype):
    """Layer by layer, since attention amplifies what is rounded."""
    gate = Gate()
    gate.open = True
    for target in targets_of(kinds):
        layer, buffers = net.get_submodule(target.layer), Buffers((target,), dtype)
        x = torch.randn(2, 4 if target.layer == "inward" else WIDTH, 6, 6)
        x = x if hasattr(layer, "kernel_size") else x.flatten(2).transpose(1, 2)
        with attach_all(net, buffers, gate, PLAIN):
            for who in (0, 1):
                buffers.show(0, who)
                expected = rewritten(twin, (target,), [who]).get_submodule(target.layer)(x.double())
                assert (layer(x).double() - expected).norm() < 0.01 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [PAIRS[2], *PAIRS[4:7], PAIRS[8]], ids=" against ".join)
def test_compiled_once_whatever_is_shown(net, twin, kinds):
    torch._dynamo.reset()
    targets, x, gate, graphs = targets_of(kinds), inputs(2), Gate(), []
    buffers = Buffers(targets, torch.float32)

    def backend(module, _):
        graphs.append(module)
        return module.forward

    compiled = torch.compile(net, backend=backend, fullgraph=True)
    gate.open = True
    # As a caller under torch.no_grad: parameters that need gradients would be guarded by themselves.
    with torch.no_grad(), attach_all(net, buffers, gate, PLAIN, compiled=True):
        for row in table(targets, 4, seed=1):
            for i, who in enumerate(row):
                buffers.show(i, who)
            expected = rewritten(twin, targets, row)(x.double())
            torch.testing.assert_close(compiled(x).double(), expected, rtol=1e-4, atol=1e-5)
    assert len(graphs) == 1
    assert not any("forward" in vars(m) for m in net.modules()), "two targets on one module come off too"


@torch.inference_mode()
def test_an_attachment_that_fails_half_way_leaves_nothing_on(net):
    targets = (*targets_of(PAIRS[0]), Target("no.such.layer", None, (make("lora", 8, 8, 1),)))
    before = state(net)
    for rules, compiled in ((HostRules(), False), (PLAIN, False), (HostRules(), True)):
        with pytest.raises(AttributeError, match="no"):
            attach_all(net, Buffers(targets, torch.float32), Gate(), rules, compiled)
        assert state(net)[0] == before[0]


@torch.inference_mode()
def test_a_run_that_is_broken_off_leaves_nothing_on(net):
    before, gate = state(net), Gate()
    buffers = Buffers(targets_of(PAIRS[0]), torch.float32)
    with pytest.raises(KeyboardInterrupt), attach_all(net, buffers, gate, PLAIN):
        raise KeyboardInterrupt
    assert state(net)[0] == before[0]


@torch.inference_mode()
def test_somebody_elses_forward_over_ours_stays(net):
    layer, gate = net.out[0], Gate()
    buffers = Buffers((Target("out.0", None, (make("lora", WIDTH, WIDTH, 1),)),), torch.float32)
    attached = attach_all(net, buffers, gate, compiled=True)
    ours = layer.forward
    layer.forward = lambda x: ours(x) + 1
    attached.close()
    x = torch.randn(2, WIDTH)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias) + 1)
