"""Adapters that depend on a layer's weight, random, with what they make of it: restated in float64.

Each maker gives (tensors by the ending of their names, W' as a float64 matrix), of W [out, in, kernel...].
"""

from __future__ import annotations

import math

import torch


def _random(generator, *shape, size=0.3):
    return torch.randn(*shape, generator=generator) * size


def _factors(g, weight, rank=3):
    up = _random(g, weight.shape[0], rank, *(1 for _ in weight.shape[2:]))
    return up, _random(g, rank, *weight.shape[1:])


def dora_rows(weight, g, of_base=False):
    """LyCORIS, magnitudes of the outputs."""
    return _dora(weight, g, ".dora_scale", lambda m: m.view(-1, *(1 for _ in weight.shape[1:])), of_base)


def peft_dora(weight, g):
    """PEFT, magnitudes of the outputs, flat."""
    return _dora(weight, g, ".lora_magnitude_vector", lambda m: m, False)


def _dora(weight, g, ending, shaped, of_base):
    up, down = _factors(g, weight)
    own = weight.double().flatten(1)
    new = own + up.double().flatten(1) @ down.double().flatten(1) * (2 / 3)
    magnitude = torch.rand(len(own), generator=g) + 0.5
    norms = [math.sqrt(float((row * row).sum())) for row in (own if of_base else new)]
    made = torch.stack([row * float(m) / norm for row, m, norm in zip(new, magnitude, norms, strict=True)])
    tensors = {".lora_up.weight": up, ".lora_down.weight": down, ".alpha": torch.tensor(2.0)}
    return {**tensors, ending: shaped(magnitude)}, made


def dora_columns(weight, g):
    """LyCORIS, magnitudes of the channels that come in, over a LoHa."""
    rank, n = 2, weight[0].numel()
    a1, a2 = (_random(g, len(weight), rank) for _ in "12")
    b1, b2 = (_random(g, rank, n) for _ in "12")
    new = weight.double() + ((a1.double() @ b1.double()) * (a2.double() @ b2.double())).view(weight.shape)
    magnitude = torch.rand(weight.shape[1], generator=g) + 0.5
    made = torch.empty_like(new)
    for channel in range(weight.shape[1]):
        part = new[:, channel]
        made[:, channel] = part / math.sqrt(float((part * part).sum())) * float(magnitude[channel])
    tensors = {".hada_w1_a": a1, ".hada_w1_b": b1, ".hada_w2_a": a2, ".hada_w2_b": b2}
    return {**tensors, ".dora_scale": magnitude.view(1, -1, *(1 for _ in weight.shape[2:]))}, made.flatten(1)


def oft(weight, g, block=4, rescaled=True, alpha=None):
    """R_k^T turns block k of the rows; then each row has a factor."""
    blocks = _random(g, len(weight) // block, block, block)
    rescale = torch.rand(len(weight), generator=g) + 0.5
    limit, skew = math.inf if alpha is None else alpha, blocks.double() - blocks.double().mT
    size = math.sqrt(float((skew * skew).sum()))
    skew = skew * min(1.0, limit / size)
    made = []
    for k, q in enumerate(skew):
        one = torch.eye(block, dtype=torch.float64)
        turn = (one + q) @ torch.linalg.inv(one - q)
        made.append(turn.T @ weight.double().flatten(1)[k * block : (k + 1) * block])
    tensors = {".oft_blocks": blocks}
    if alpha is not None:
        tensors[".alpha"] = torch.tensor(alpha)
    made = torch.cat(made)
    if rescaled:
        tensors[".rescale"] = rescale.view(-1, *(1 for _ in weight.shape[1:]))
        made = made * rescale.double()[:, None]
    return tensors, made


def boft(weight, g, block=4, stages=2):
    """Stage i turns pairs of runs of rows that lie 2^i half blocks apart."""
    out = len(weight)
    blocks = _random(g, stages, out // block, block, block)
    made, one = weight.double().flatten(1), torch.eye(block, dtype=torch.float64)
    for stage in range(stages):
        apart = block // 2 * 2**stage
        # Row 2 apart a + apart s + i stands at 2 apart a + 2 i + s while the blocks turn.
        order = [
            2 * apart * a + apart * s + i
            for a in range(out // (2 * apart))
            for i in range(apart)
            for s in (0, 1)
        ]
        shuffled = made[order].clone()
        for k in range(out // block):
            q = blocks[stage, k].double() - blocks[stage, k].double().T
            rows = slice(k * block, (k + 1) * block)
            shuffled[rows] = (one + q) @ torch.linalg.inv(one - q) @ shuffled[rows]
        made = torch.empty_like(shuffled)
        made[order] = shuffled
    return {".oft_blocks": blocks}, made


def glora(weight, g, rank=3):
    """W + s (b1 b2 + W a1 a2), a1 and a2 on the channels of a convolution."""
    ones = (1 for _ in weight.shape[2:])
    ones = tuple(ones)
    channels = weight.shape[1]
    a1, a2 = _random(g, channels, rank, *ones), _random(g, rank, channels, *ones)
    b1, b2 = _random(g, len(weight), rank, *ones), _random(g, rank, *weight.shape[1:])
    mix = a1.double().flatten(1) @ a2.double().flatten(1)
    through = torch.einsum("oi...,ij->oj...", weight.double(), mix).flatten(1)
    made = through + b1.double().flatten(1) @ b2.double().flatten(1)
    names = (".a1.weight", ".a2.weight", ".b1.weight", ".b2.weight")
    tensors = dict(zip(names, (a1, a2, b1, b2), strict=True))
    return {**tensors, ".alpha": torch.tensor(1.5)}, weight.double().flatten(1) + made * (1.5 / rank)


def old_glora(weight, g, rank=3):
    """W + s (b2 b1 + W a2 a1), as LyCORIS wrote them before; linear layers."""
    out, n = weight.shape
    a1, a2 = _random(g, rank, n), _random(g, n, rank)
    b1, b2 = _random(g, rank, n), _random(g, out, rank)
    made = b2.double() @ b1.double() + weight.double() @ a2.double() @ a1.double()
    names = (".a1.weight", ".a2.weight", ".b1.weight", ".b2.weight")
    return dict(zip(names, (a1, a2, b1, b2), strict=True)), weight.double() + made


KINDS = {
    "DoRA of rows": dora_rows,
    "DoRA of PEFT": peft_dora,
    "DoRA of columns": dora_columns,
    "OFT": oft,
    "OFT with a limit": lambda weight, g: oft(weight, g, rescaled=False, alpha=0.5),
    "BOFT": boft,
    "GLoRA": glora,
    "old GLoRA": old_glora,
}
