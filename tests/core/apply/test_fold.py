"""Which layers and inputs take a delta into the weight for a call, and that both ways give one result."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from klora_core.apply import Buffers, HostRules, Target, additions, fold
from klora_core.apply.hooks import attach_all
from klora_core.deltas import Dense, Hadamard, Kron, LowRank
from klora_core.methods import NOBODY

FORWARDS = frozenset(c.forward for c in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))
PLAIN = HostRules(FORWARDS)


def r(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Gate:
    open = True


KINDS = {
    "lora": lambda out, n: LowRank(r(out, 2), r(2, n), 0.1),
    "dense": lambda out, n: Dense(r(out, n), 4, 0.1),
    "kron": lambda out, n: Kron(r(2, 2), r(out // 2, n // 2), 0.1),
    "kron of pairs": lambda out, n: Kron((r(4, 1), r(1, 2)), (r(out // 4, 2), r(2, n // 2)), 0.1),
    "kron whose kernel is split": lambda out, n: Kron(r(2, n // 2), r(out // 2, 2), 0.1),
    "loha": lambda out, n: Hadamard(r(out, 2), r(2, n), r(out, 1), r(1, n), 0.1),
    "loha of high rank": lambda out, n: Hadamard(r(out, 4), r(4, n), r(out, 6), r(6, n), 0.1),
}
LAYERS = {
    "linear": (lambda: nn.Linear(12, 16), lambda tokens: r(2, tokens // 2, 12)),
    "linear, no bias": (lambda: nn.Linear(12, 16, bias=False), lambda tokens: r(tokens, 12)),
    "conv1d": (lambda: nn.Conv1d(4, 16, 3, padding=1), lambda tokens: r(2, 4, tokens // 2)),
    "conv2d": (lambda: nn.Conv2d(4, 16, 3, padding=1), lambda tokens: r(2, 4, 2, tokens // 4)),
    "conv2d, pointwise": (lambda: nn.Conv2d(12, 16, 1, bias=False), lambda tokens: r(2, 12, 2, tokens // 4)),
    "conv2d, strided": (
        lambda: nn.Conv2d(4, 16, 3, stride=2, padding=2, dilation=2, padding_mode="reflect"),
        lambda tokens: r(2, 4, 8, tokens // 4),
    ),
    "conv2d of groups": (lambda: nn.Conv2d(8, 16, 3, groups=2), lambda tokens: r(2, 8, 4, tokens // 2)),
    "conv3d": (lambda: nn.Conv3d(4, 16, (1, 3, 3), padding=1), lambda tokens: r(1, 4, 2, 4, tokens // 8)),
}


@pytest.fixture
def folded(monkeypatch):
    """The layers that were folded, one entry a weight made."""
    seen, weight = [], fold.Fold.weight
    monkeypatch.setattr(fold.Fold, "weight", lambda self, m, *rows: seen.append(m) or weight(self, m, *rows))
    return seen


def run(layer, x, delta, rules, gate=Gate, dtype=torch.float32, rows=None):
    buffers = Buffers((Target("", rows, (delta,)),), dtype)
    with torch.inference_mode(), attach_all(layer, buffers, gate, rules):
        buffers.show(0, 0)
        return layer(x)


def by_hand(layer, x, delta):
    dense = delta.dense().double().view(layer.weight.shape)
    twin = type(layer).__new__(type(layer))
    twin.__dict__ = {**layer.__dict__, "_parameters": dict(layer._parameters)}
    twin._parameters["weight"] = nn.Parameter(layer.weight.double() + dense)
    twin._parameters["bias"] = None if layer.bias is None else nn.Parameter(layer.bias.double())
    with torch.no_grad():
        return twin(x.double())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("tile", [1 << 22, 64])
def test_beside_and_folded_are_one_result(kind, layer, tile, folded, monkeypatch):
    monkeypatch.setattr(additions, "TILE", tile)
    make, inputs = LAYERS[layer]
    layer, x = make(), inputs(4000)
    delta = KINDS[kind](len(layer.weight), layer.weight[0].numel())
    expected = by_hand(layer, x, delta)
    for rules in (HostRules(), PLAIN):
        assert not folded
        found = run(layer, x, delta, rules)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    assert set(folded) == {layer}


@pytest.mark.parametrize("kind", KINDS)
def test_the_border_is_where_the_work_is_equal(kind, folded):
    layer, delta = nn.Linear(64, 64), KINDS[kind](64, 64)
    border = fold.least_tokens(delta)
    run(layer, r(max(1, int(border)) - 1, 64), delta, PLAIN)
    assert not folded
    run(layer, r(int(border) + 1, 64), delta, PLAIN)
    assert folded


def test_only_plain_layers_in_float32_that_lie_ready_are_folded(folded):
    x, delta = r(500, 16), LowRank(r(16, 2), r(2, 16))

    class Other(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    swapped = nn.Linear(16, 16)
    swapped.forward = lambda x: nn.functional.linear(x, swapped.weight)
    parametrised = nn.Linear(16, 16)
    nn.utils.parametrize.register_parametrization(parametrised, "weight", nn.Identity())
    for layer in (Other(16, 16), swapped, parametrised, nn.Linear(16, 16, dtype=torch.bfloat16)):
        run(layer, x.to(torch.bfloat16) if layer.weight.dtype == torch.bfloat16 else x, delta, PLAIN)
    run(nn.Linear(16, 16), x, delta, PLAIN, dtype=torch.bfloat16)
    run(nn.Linear(16, 16), x, delta, HostRules(FORWARDS, lambda module: False))
    run(nn.Linear(16, 32), x, delta, PLAIN, rows=(16, 16))
    assert not folded
    closed = type("Closed", (), {"open": False})
    layer = nn.Linear(16, 16)
    assert torch.equal(run(layer, x, delta, PLAIN, closed), layer(x))
    assert not folded
    run(layer, x, delta, PLAIN)
    assert folded == [layer]


def test_a_forward_that_is_the_classs_own_is_no_swap(folded):
    layer = nn.Linear(16, 16)
    layer.forward = layer.forward
    run(layer, r(500, 16), LowRank(r(16, 2), r(2, 16)), PLAIN)
    assert folded == [layer]


def test_nobody_is_the_layer_alone(folded):
    layer, x = nn.Linear(16, 16), r(500, 16)
    buffers = Buffers((Target("", None, (LowRank(r(16, 2), r(2, 16)),)),), torch.float32)
    with torch.inference_mode(), attach_all(layer, buffers, Gate, PLAIN):
        for who in (NOBODY, 0, NOBODY):
            buffers.show(0, who)
            assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias)) == (who != 0)
    assert len(folded) == 1
