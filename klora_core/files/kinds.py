"""The kinds of adapters: what shape their tensors make, and the change itself in the file's own factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..deltas import Additive, Dense, Gated, Hadamard, Kron, lora
from ..deltas.gates import Ranks
from ..errors import KLoraError
from .change import Kind, Misfit, need
from .values import AGAIN

if TYPE_CHECKING:
    from .change import Change


def _fit(condition: bool) -> None:
    if not condition:
        raise Misfit


def _flat(tensor: Tensor) -> tuple[int, int]:
    _fit(tensor.ndim >= 2)
    return tensor.shape[0], math.prod(tensor.shape[1:])


def _lora_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    up, down = need(module, parts, "up", "down")
    (out, outer), (inner, n) = _flat(up), _flat(down)
    if "mid" not in parts:
        _fit(outer == inner)
        return out, n
    mid = parts["mid"]
    _fit(mid.ndim > 2 and tuple(mid.shape[:2]) == (outer, inner))
    return out, n * math.prod(mid.shape[2:])


def _lora(change: Change) -> Additive:
    mid = change.parts.get("mid")
    return lora(change.parts["up"], change.parts["down"], change.alpha, mid)


def _diff_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    return _flat(parts["diff"])


def _diff(change: Change) -> Additive:
    weight = change.parts["diff"].flatten(1)
    return Dense(weight, min(weight.shape))


_HADA = (("hada_w1_a", "hada_w1_b", "hada_t1"), ("hada_w2_a", "hada_w2_b", "hada_t2"))


def _loha_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    need(module, parts, *_HADA[0][:2], *_HADA[1][:2])
    if "hada_t1" in parts or "hada_t2" in parts:
        need(module, parts, "hada_t1", "hada_t2")
    one, two = (_product_shape(*(parts.get(name) for name in names)) for names in _HADA)
    _fit(one == two)
    return one


def _loha(change: Change) -> Additive:
    """dW = (A1 B1) * (A2 B2), entry by entry."""
    (up1, down1), (up2, down2) = (_pair(change, *names) for names in _HADA)
    return Hadamard(up1, down1, up2, down2, change.scale)


_LOKR = (("lokr_w1_a", "lokr_w1_b", "lokr_t1"), ("lokr_w2_a", "lokr_w2_b", "lokr_t2"))


def _lokr_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    (m1, n1), (m2, n2) = (_lokr_factor_shape(module, parts, i) for i in (0, 1))
    # W2's kernel comes last in the product's columns; W1 must have none.
    _fit("lokr_w1" not in parts or all(size == 1 for size in parts["lokr_w1"].shape[2:]))
    return m1 * m2, n1 * n2


def _lokr_factor_shape(module: str, parts: Mapping[str, Tensor], i: int) -> tuple[int, int]:
    whole = f"lokr_w{i + 1}"
    if whole not in parts:
        need(module, parts, *_LOKR[i][:2])
        return _product_shape(*(parts.get(name) for name in _LOKR[i]))
    if more := [name for name in _LOKR[i] if name in parts]:
        raise KLoraError(f"layer {module} has {whole} and {' and '.join(more)} beside it.", AGAIN)
    return _flat(parts[whole])


def _lokr(change: Change) -> Additive:
    """dW = W1 (x) W2, a Kronecker product."""
    wholes = (change.parts.get("lokr_w1"), change.parts.get("lokr_w2"))
    w1, w2 = (
        _pair(change, *names) if whole is None else whole.flatten(1)
        for whole, names in zip(wholes, _LOKR, strict=True)
    )
    return Kron(w1, w2, change.scale)


def _glora_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    first, second = _glora_pair(module, parts)
    (out, outer), (inner, n) = _flat(first), _flat(second)
    _fit(outer == inner == glora_rank(parts))
    return out, n


def _glora_pair(module: str, parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(up, down) of the part that the weight does not touch."""
    _, _, b1, b2 = need(module, parts, "glora_a1", "glora_a2", "glora_b1", "glora_b2")
    _fit(all(parts[f"glora_{name}"].ndim >= 2 for name in ("a1", "a2", "b1", "b2")))
    return (b2, b1) if is_old_glora(parts) else (b1, b2)


def is_old_glora(parts: Mapping[str, Tensor]) -> bool:
    """Whether a GLoRA's second factors come first, as LyCORIS wrote them until 2.0: dW = b2 b1 + W a2 a1.

    In a square layer both orders fit; the rank is the smaller size then.
    """
    a1, a2, b1, b2 = (parts[f"glora_{name}"] for name in ("a1", "a2", "b1", "b2"))
    old = {b2.shape[1], b1.shape[0], a1.shape[0], a2.shape[1]}
    new = {b2.shape[0], b1.shape[1], a1.shape[1], a2.shape[0]}
    return len(old) == 1 and (len(new) > 1 or min(new) >= min(old))


def glora_rank(parts: Mapping[str, Tensor]) -> int:
    """The rank of a GLoRA's factors."""
    return parts["glora_a1" if is_old_glora(parts) else "glora_a2"].shape[0]


def _oft_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    (blocks,) = need(module, parts, "oft_blocks")
    _fit(blocks.ndim in (3, 4) and blocks.shape[-1] == blocks.shape[-2])
    out = blocks.shape[-3] * blocks.shape[-1]
    # BOFT halves its blocks, and stage i needs blocks of 2^i of these.
    size, stages = blocks.shape[-1], blocks.shape[0]
    _fit(blocks.ndim == 3 or (size % 2 == 0 and out % (size << (stages - 1)) == 0))
    _fit("oft_rescale" not in parts or parts["oft_rescale"].numel() == out)
    return out, 0


_RANKS = tuple(f"ranks_{part}" for part in ("up", "down", "router", "bias", "k"))


def _ranks_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    up, down, router, bias, k = need(module, parts, *_RANKS)
    (out, outer), (rank, n) = _flat(up), _flat(down)
    _fit(outer == rank and _flat(router) == (rank, n) and bias.numel() == rank)
    number = float(k.flatten()[0]) if k.numel() == 1 else 0.0
    if number != int(number) or not 1 <= number <= rank:
        raise KLoraError(f"layer {module}: k must be a whole number from 1 to its {rank} ranks.", AGAIN)
    return out, n


def _ranks(change: Change) -> Gated:
    """y = (alpha / k) B (g * A x), the gate g of k ranks by Wr x and b (SMoRA)."""
    up, down, router, bias, k = (change.parts[part] for part in _RANKS)
    number = int(k.flatten()[0])
    both = torch.cat([down.flatten(1), router.flatten(1)])
    scale = 1.0 if change.alpha is None else change.alpha / number
    return Gated(up.flatten(1), both, Ranks(bias.flatten().float(), number), change.label, scale)


def _product_shape(a: Tensor | None, b: Tensor | None, core: Tensor | None) -> tuple[int, int]:
    """[out, n] of A B, or of LyCORIS's Tucker form: core [r, s, kernel...], ``a`` [r, out], ``b`` [s, in]."""
    assert a is not None and b is not None, "needed before"
    if core is None:
        (out, outer), (inner, n) = _flat(a), _flat(b)
        _fit(outer == inner)
        return out, n
    _fit(a.ndim == b.ndim == 2 and core.ndim > 2 and tuple(core.shape[:2]) == (a.shape[0], b.shape[0]))
    return a.shape[1], b.shape[1] * math.prod(core.shape[2:])


def _pair(change: Change, a_name: str, b_name: str, core_name: str) -> tuple[Tensor, Tensor]:
    """(up [out, r], down [r, n]) of a product of :func:`_product_shape`."""
    a, b, core = (change.parts.get(name) for name in (a_name, b_name, core_name))
    assert a is not None and b is not None, "needed before"
    if core is None:
        return a.flatten(1), b.flatten(1)
    down = torch.einsum("ijk,jn->ink", core.float().flatten(2), b.float())
    return a.float().T.contiguous(), down.flatten(1)


_LORA_PARTS = ("up", "down", "mid")
KINDS = {
    kind.name: kind
    for kind in (
        Kind("lora", _lora_shape, _lora, ("down",), "LoRA"),
        Kind("diff", _diff_shape, _diff, (), "full difference", ranked=False),
        Kind("hada", _loha_shape, _loha, ("hada_w1_b",), "LoHa"),
        Kind("lokr", _lokr_shape, _lokr, ("lokr_w2_b", "lokr_w1_b"), "LoKr"),
        Kind("glora", _glora_shape, None, (), "GLoRA"),
        Kind("oft", _oft_shape, None, (), "OFT or BOFT", ranked=False),
        Kind("ranks", _ranks_shape, _ranks, (), "SMoRA", ranked=False),
    )
}


def kind_of(part: str) -> str:
    """The name of the kind that has a part of this name."""
    return "lora" if part in _LORA_PARTS else part.partition("_")[0]
