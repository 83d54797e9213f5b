"""A small network with every kind of layer that deltas are added to, and deltas of every kind for it."""

from __future__ import annotations

import torch
from torch import nn

from klora_core.apply import HostRules
from klora_core.deltas import Dense, Hadamard, Kron, LowRank

PLAIN = HostRules(frozenset({nn.Linear.forward, nn.Conv2d.forward}))
WIDTH, PIXELS = 24, 8


class Net(nn.Module):
    """Convolutions (one strided, one of groups) and linears, one of them run twice."""

    def __init__(self):
        super().__init__()
        self.inward = nn.Conv2d(4, WIDTH, 3, padding=1, padding_mode="circular")
        self.down = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.each = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh())

    def forward(self, x):
        x = torch.tanh(self.each(self.down(torch.tanh(self.inward(x)))))
        x = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        x = torch.softmax(q @ k.transpose(1, 2) / WIDTH**0.5, dim=-1) @ v
        return self.out(self.out(x))


def make(kind, out, n, seed):
    g = torch.Generator().manual_seed(seed)

    def r(*shape):
        return torch.randn(*shape, generator=g)

    size = 0.5 / n**0.5
    if kind == "lora":
        return LowRank(r(out, 3), r(3, n), size)
    if kind == "larger lora":
        return LowRank(r(out, 5), r(5, n), size)
    if kind == "dense":
        return Dense(r(out, n), min(out, n), size)
    if kind == "hadamard":
        return Hadamard(r(out, 3), r(3, n), r(out, 2), r(2, n), size)
    if kind == "loha of high rank":
        return Hadamard(r(out, 5), r(5, n), r(out, 6), r(6, n), size / 5)
    m1 = 4
    n1 = 4 if n % 4 == 0 else 3 if n % 3 == 0 else 1
    if kind == "kron":
        return Kron(r(m1, n1), r(out // m1, n // n1), size)
    if kind == "kron of pairs":
        return Kron((r(m1, 2), r(2, n1)), (r(out // m1, 2), r(2, n // n1)), size)
    whole = Kron(r(m1, n1), r(3 * out // m1, n // n1), size)
    if kind == "kron rows":
        return whole.rows(out - 5, out)
    assert kind == "kron reordered"
    return whole.reordered(torch.randperm(3 * out, generator=g)[:out])


def inputs(batch):
    return torch.randn(batch, 4, PIXELS, PIXELS, generator=torch.Generator().manual_seed(batch))


def state(net):
    hooks = {n: (tuple(m._forward_hooks), m.__dict__.get("forward")) for n, m in net.named_modules()}
    return hooks, {k: v.clone() for k, v in net.state_dict().items()}
