"""Buffers and a step at a large layer's shape, 12288 x 3072: the factors' own size and a tile, never dW."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from klora_core.apply import Buffers, Target
from klora_core.deltas import Hadamard, Kron

OUT, N = 12288, 3072
MIB = 1 << 20

STEP = """
import pathlib, torch
from torch import nn
from klora_core.apply import Buffers, HostRules, Target, attach_all
from klora_core.deltas import Hadamard, Kron
torch.set_num_threads(1)
r = torch.randn
class Gate: open = True
status, reset = (pathlib.Path("/proc/self", name) for name in ("status", "clear_refs"))
kib = lambda field: int(next(l for l in status.read_text().splitlines() if l.startswith(field)).split()[1])
layer, x = nn.Linear(3072, 12288), r({tokens}, 3072)
buffers = Buffers((Target("", None, ({delta},)),), torch.float32)
with torch.inference_mode():
    layer(x)
    with attach_all(layer, buffers, Gate, HostRules({plain})):
        buffers.show(0, 0)
        reset.write_text("5")
        before = kib("VmRSS")
        layer(x)
print((kib("VmHWM") - before) / 1024)
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("plain", ["", "frozenset({nn.Linear.forward})"], ids=["beside", "folding"])
@pytest.mark.parametrize("delta", [KRON, LOHA.format(r=16), LOHA.format(r=64)], ids=["kron", "16", "64"])
def test_a_step_takes_two_tiles_beside_outputs(delta, plain):
    """dW is 144 MiB, a tile 16 MiB, the output 12 MiB."""
    tokens = 256
    done = subprocess.run(
        [sys.executable, "-c", STEP.format(delta=delta, plain=plain, tokens=tokens)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 2 * 16 + 4 * tokens * OUT * 4 / MIB
