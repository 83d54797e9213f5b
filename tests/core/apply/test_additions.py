"""What is added beside a layer equals its dense dW, for each kind of delta, layer and part of the output."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from klora_core.apply.additions import addition
from klora_core.deltas import Dense, Hadamard, Kron, LowRank

OUT, IN, START, ALL = 12, 8, 3, 20
G = torch.Generator().manual_seed(3)


def r(*shape):
    return torch.randn(*shape, generator=G)


def deltas(n):
    """[12, n] of each kind; LoHas of small ranks are chained, of large ones made in tiles."""
    return {
        "low rank": LowRank(r(OUT, 2), r(2, n)),
        "dense": Dense(r(OUT, n), n),
        "kron": Kron(r(3, 2), r(4, n // 2)),
        "kron with the kernel in the first": Kron(r(3, n // 2), r(4, 2)),
        "loha": Hadamard(r(OUT, 1), r(1, n), r(OUT, 2), r(2, n)),
        "large loha": Hadamard(r(OUT, 9), r(9, n), r(OUT, 8), r(8, n)),
    }


LAYERS = {
    "linear": (lambda out: nn.Linear(IN, out), r(2, 5, IN)),
    "convolution": (lambda out: nn.Conv2d(IN, out, 3, stride=2, padding=1), r(2, IN, 6, 6)),
    "convolution of one pixel": (lambda out: nn.Conv2d(IN, out, 1), r(2, IN, 4, 4)),
    "grouped convolution": (lambda out: nn.Conv2d(2 * IN, out, 3, padding=1, groups=2), r(2, 2 * IN, 5, 5)),
    "convolution in time": (lambda out: nn.Conv1d(IN, out, 3, padding=1), r(2, IN, 7)),
}


def dense(module, delta, x, rows):
    weight = torch.zeros_like(module.weight).flatten(1)
    weight[slice(*((0, OUT) if rows is None else (rows[0], sum(rows))))] = delta.dense()
    weight = weight.view(module.weight.shape)
    if isinstance(module, nn.Linear):
        return F.linear(x, weight)
    return module._conv_forward(x, weight, None)


@pytest.mark.parametrize("rows", [None, (START, OUT)])
@pytest.mark.parametrize("kind", deltas(IN))
@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_beside_a_layer(layer, kind, rows):
    make, x = LAYERS[layer]
    module = make(OUT if rows is None else ALL)
    delta = deltas(module.weight[0].numel())[kind]
    plain = module(x)
    output = plain.clone()
    addition(module, delta, rows)(module, x, output)
    torch.testing.assert_close(output - plain, dense(module, delta, x, rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", deltas(IN))
@torch.no_grad()
def test_the_output_keeps_its_type(kind):
    module = nn.Linear(IN, ALL)
    delta, x = deltas(IN)[kind], r(2, 5, IN)
    output = torch.zeros(2, 5, ALL, dtype=torch.float64)
    addition(module, delta, (START, OUT))(module, x.double(), output)
    wanted = dense(module, delta, x, (START, OUT)).double()
    torch.testing.assert_close(output, wanted, rtol=1e-4, atol=1e-4)
