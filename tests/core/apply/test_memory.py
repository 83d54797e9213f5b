"""Buffers and a step at a large layer's shape, 12288 x 3072: the factors' own size and a tile, never dW."""

from __future__ import annotations

import sys

import pytest
import torch

from klora_core.apply import Buffers, Target
from klora_core.deltas import Hadamard, Kron

OUT, N = 12288, 3072
MIB = 1 << 20

PREPARE = """
class Gate: open = True
layer, x = nn.Linear(3072, 12288), r({tokens}, 3072)
buffers = Buffers((Target("", None, ({delta},)),), torch.float32)
layer(x)
on = attach_all(layer, buffers, Gate, HostRules({plain}))
buffers.show(0, 0)
"""
KRON = "Kron(r(16, 16), r(768, 192))"
LOHA = "Hadamard(r(12288, {r}), r({r}, 3072), r(12288, {r}), r({r}, 3072))"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_buffers_are_the_files_own_size(dtype):
    kron = Kron(torch.empty(16, 16), torch.empty(OUT // 16, N // 16))
    loha = Hadamard(*(torch.empty(s) for s in ((OUT, 16), (16, N), (OUT, 16), (16, N))))
    buffers = Buffers((Target("a", None, (kron, loha)), Target("b", None, (kron, kron))), dtype)
    own = sum(t.numel() for delta in (kron, kron, loha) for t in delta.tensors)
    assert sum(p.nbytes for p in buffers.parameters()) == own * dtype.itemsize


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("plain", ["", "frozenset({nn.Linear.forward})"], ids=["beside", "folding"])
@pytest.mark.parametrize("delta", [KRON, LOHA.format(r=16), LOHA.format(r=64)], ids=["kron", "16", "64"])
def test_a_step_takes_two_tiles_beside_outputs(peaks, delta, plain):
    """dW is 144 MiB, a tile 16 MiB, the output 12 MiB."""
    tokens = 256
    peak = peaks.of(PREPARE.format(delta=delta, plain=plain, tokens=tokens), "layer(x)")
    assert peak < 2 * 16 + 4 * tokens * OUT * 4 / MIB
