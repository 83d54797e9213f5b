"""A network small enough to learn on in a test: a rectified flow of points, with hooks on its linears."""

from __future__ import annotations

import torch
from torch import nn

from klora_core.apply import Spot
from klora_core.deltas import LowRank, Row
from klora_core.names import Slot
from klora_core.train import Item, Layers, Noised

WIDTH, POINT = 16, 6


class Flow(nn.Module):
    """Answers to points [b, 6] at a noise level under a condition [4]; q and v lie in one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Linear(POINT + 5, WIDTH)
        self.qv = nn.Linear(WIDTH, 2 * WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, POINT)

    def forward(self, x, sigma, condition):
        told = condition.expand(len(x), -1)
        h = torch.tanh(self.inward(torch.cat([x, told, sigma[:, None]], dim=1)))
        q, v = self.qv(h).chunk(2, dim=1)
        return self.out(torch.tanh(self.mix(h + torch.sigmoid(q) * v)))


SLOTS = {
    Slot("inward"): (WIDTH, POINT + 5),
    Slot("qv", (0, WIDTH)): (WIDTH, WIDTH),
    Slot("qv", (WIDTH, WIDTH)): (WIDTH, WIDTH),
    Slot("mix"): (WIDTH, WIDTH),
    Slot("out"): (POINT, WIDTH),
}


class Learning:
    """klora_core.train's ``Model`` on a :class:`Flow`. To be closed."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        self.net, self.calls = Flow().to(dtype).requires_grad_(False), 0
        self.dtype = dtype
        self.layers = Layers(self.net, {s: o for s, (o, _) in SLOTS.items()}, _where)

    def noised(self, latent, noise, percent):
        latent, noise, sigma = (t.to(self.dtype) for t in (latent, noise, 1 - percent))
        return Noised(latent + sigma[:, None] * (noise - latent), sigma, noise - latent)

    def predict(self, x, sigma, condition, changes):
        self.calls += 1
        with self.layers.showing(changes):
            return self.net(x, sigma, condition)


def _where(slot, out):
    return (Spot(slot.weight, slot.rows),)


def rows(*seeds, rank=3, slots=None, zero=()):
    """Rows of random LoRAs, one a seed; ``zero``: LoRAs whose ups are zero."""
    made = []
    for number, (slot, (out, n)) in enumerate((slots or SLOTS).items()):
        deltas = []
        for i, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(100 * seed + number)
            up = torch.randn(out, rank, generator=generator) * (0 if i in zero else 1)
            deltas.append(LowRank(up, torch.randn(rank, n, generator=generator), 0.3 / n**0.5))
        made.append(Row(slot, tuple(deltas)))
    return made


def items(seed, count=3):
    """Points under one condition."""
    generator = torch.Generator().manual_seed(seed)
    condition = torch.randn(1, 4, generator=generator)
    return [Item(torch.randn(1, POINT, generator=generator), condition) for _ in range(count)]


def dense(net, rows, weigh):
    """{parameter: the network's weight with sum_i weigh(slot, i, dW_i) added}; no code under test."""
    weights = {name: value.clone() for name, value in net.named_parameters()}
    for row in rows:
        name = f"{row.slot.weight}.weight"
        start, length = row.slot.rows or (0, len(weights[name]))
        weights[name] = weights[name].clone()
        for i, delta in enumerate(row.deltas):
            change = (delta.up @ delta.down * delta.scale).to(weights[name])
            weights[name][start : start + length] += weigh(row.slot, i, change)
    return weights


def by_weights(net, weights, x, sigma, condition):
    return torch.func.functional_call(net, weights, (x, sigma, condition))
