"""What a graph holds, counted without holding it, against torch's own packing and unpacking."""

import torch
from torch import nn

from klora_core.train import blocks, held

WIDTH, BATCH = 64, 8


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return x + self.two(torch.tanh(self.one(x)))


class Net(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(depth))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def counted(depth, device="cpu"):
    net = Net(depth).to(device).requires_grad_(False)
    x = torch.zeros(BATCH, WIDTH, device=device, requires_grad=True)
    return held(net, blocks(net), lambda: net(x * 1.0))


def test_blocks_hold_what_they_are_given_and_one_all():
    """tanh's output is all that a frozen linear's block needs; its weights are not counted."""
    inner, given = BATCH * 4 * WIDTH * 4, BATCH * WIDTH * 4
    for depth in (1, 5):
        found = counted(depth)
        assert found.whole == depth * inner
        assert found.checkpointed == depth * given + inner


def test_a_network_without_memory_is_counted_alike():
    assert counted(3, "meta") == counted(3)


def test_nothing_is_held_or_left():
    net = Net(2).requires_grad_(False)
    held(net, blocks(net), lambda: net(torch.zeros(1, WIDTH, requires_grad=True)))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
