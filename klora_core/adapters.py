"""Tensors of one module of a LoRA file to its weight change: checked by shape before anything is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .checks import AGAIN
from .deltas import Additive, Dense, Hadamard, Kron, lora
from .errors import KLoraError
from .parts import ALPHA, DORA, GATE, MAGNITUDE

# More entries than any layer of a model has; and how far a Tucker core may spread what a file holds.
_LARGEST_LAYER, _TUCKER_ENTRIES, _TUCKER_GROWTH = 2**32, 2**24, 32
# BeamLoRA's T: a constant of its published code, which no file says.
_GATE_TEMPERATURE = 0.05
_CORES = {"mid", "hada_t1", "hada_t2", "lokr_t1", "lokr_t2"}


@dataclass(frozen=True, eq=False)
class Change:
    """The weight change of a module: its tensors by part, checked to fit together, not multiplied out.

    ``shape`` is [out, n] of the change, a convolution's kernel flat in n, and n 0 where only the layer knows
    it (OFT); ``alpha`` None means alpha = rank. ``dora`` is the magnitude of a DoRA, as LyCORIS means it or,
    with ``peft``, as PEFT does.
    """

    module: str
    kind: str
    shape: tuple[int, int]
    parts: Mapping[str, Tensor]
    alpha: float | None
    dora: Tensor | None = None
    peft: bool = False

    @property
    def label(self) -> str:
        """What people call the kind."""
        return "DoRA" if self.dora is not None else _KINDS[self.kind].label

    @property
    def needs_weight(self) -> bool:
        """Whether the change depends on the layer's own weight: see :mod:`klora_core.weight_bound`."""
        return self.dora is not None or _KINDS[self.kind].build is None

    @property
    def scale(self) -> float:
        """alpha / rank, 1 without an alpha; what a change that is a plain matrix ignores."""
        counted = next((self.parts[p] for p in _KINDS[self.kind].counted if p in self.parts), None)
        return 1.0 if self.alpha is None or counted is None else self.alpha / counted.shape[0]

    def delta(self) -> Additive:
        """The change in the file's own factors, without the magnitude of a DoRA.

        Raises KLoraError for a kind that needs the weight.
        """
        build = _KINDS[self.kind].build
        if build is None:
            raise unbound(self.module, self.label)
        return build(self)


class _Kind(NamedTuple):
    shape: Callable[[str, Mapping[str, Tensor]], tuple[int, int]]
    # None: only the layer's own weight makes it a change.
    build: Callable[[Change], Additive] | None
    # The part whose first size is the rank that alpha is divided by; the first that is there counts.
    counted: tuple[str, ...]
    label: str


def unbound(module: str, kind: str) -> KLoraError:
    """The error for a change that needs the layer's weight where there is none."""
    return KLoraError(
        f"layer {module} is {kind}, which depends on the checkpoint's own weights: files alone can't tell "
        "what it changes. Use the ComfyUI nodes, or fuse() with the model."
    )


def change(module: str, parts: Mapping[str, Tensor]) -> Change:
    """The weight change of ``module`` from its tensors by part (see :func:`klora_core.parts.split`).

    Raises KLoraError, naming the module, for missing counterparts, tensors that belong to no common kind,
    shapes that do not fit, and a Tucker core that would blow the factors up.
    """
    dora = {part: tensor for part, tensor in parts.items() if part in (DORA, MAGNITUDE)}
    parts = {part: tensor for part, tensor in parts.items() if part not in dora}
    kinds = {_KIND_OF.get(part, part.partition("_")[0]) for part in parts if part != ALPHA}
    if len(kinds) != 1:
        raise KLoraError(f"layer {module} has {' and '.join(sorted(kinds)) or 'only an alpha'}. {AGAIN}")
    kind = kinds.pop()
    try:
        shape = _KINDS[kind].shape(module, parts)
    except _Misfit as error:
        sizes = ", ".join(f"{part} {tuple(t.shape)}" for part, t in parts.items() if part != ALPHA)
        raise KLoraError(f"layer {module} has tensors that do not fit together ({sizes}). {AGAIN}") from error
    if math.prod(shape) > _LARGEST_LAYER:
        raise KLoraError(f"layer {module} would be {shape[0]} x {shape[1]}, larger than any model's. {AGAIN}")
    if dora and (len(dora) > 1 or kind == "oft"):
        raise KLoraError(f"layer {module} has {' and '.join((kind, *dora))}. {AGAIN}")
    found = Change(
        module, kind, shape, parts, _alpha(module, parts), next(iter(dora.values()), None), MAGNITUDE in dora
    )
    for core in _CORES & parts.keys():
        _bounded(found, parts[core].shape[0])
    return found


def gated(module: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts of a BeamLoRA (arXiv 2502.13604) as those of an ordinary LoRA.

    dW = B diag(r softmax(g / T)) A: the gate g [1, r] goes into ``up``, in float32. Raises KLoraError, naming
    the module, where the factors are missing or of another rank than the gate.
    """
    rest = {name: tensor for name, tensor in parts.items() if name != GATE}
    up, _ = _need(module, rest, "up", "down")
    gate = parts[GATE].to(torch.float32).flatten()
    if up.ndim < 2 or up.shape[1] != len(gate):
        raise KLoraError(f"layer {module} has {len(gate)} gates for an up of {tuple(up.shape)}. {AGAIN}")
    shares = torch.softmax(gate / _GATE_TEMPERATURE, 0) * len(gate)
    return {**rest, "up": up.to(torch.float32) * shares.view(-1, *(1 for _ in up.shape[2:]))}


class _Misfit(Exception):
    """Sizes that do not fit together."""


def _fit(condition: bool) -> None:
    if not condition:
        raise _Misfit


def _need(module: str, parts: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    missing = [name for name in names if name not in parts]
    if missing:
        there = ", ".join(name for name in parts if name != ALPHA)
        raise KLoraError(f"layer {module} has {there} but no {' and no '.join(missing)}. {AGAIN}")
    return [parts[name] for name in names]


def _alpha(module: str, parts: Mapping[str, Tensor]) -> float | None:
    if ALPHA not in parts:
        return None
    alpha = float(parts[ALPHA].to(torch.float64).reshape(()))
    if not math.isfinite(alpha):
        raise KLoraError(f"layer {module}: alpha is {alpha}. {AGAIN}")
    return alpha


def _flat(tensor: Tensor) -> tuple[int, int]:
    _fit(tensor.ndim >= 2)
    return tensor.shape[0], math.prod(tensor.shape[1:])


def _lora_shape(module: str, parts: Mapping[str, Tensor]) -> tuple[int, int]:
    up, down = _need(module, parts, "up", "down")
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
    _need(module, parts, *_HADA[0][:2], *_HADA[1][:2])
    if "hada_t1" in parts or "hada_t2" in parts:
        _need(module, parts, "hada_t1", "hada_t2")
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
        _need(module, parts, *_LOKR[i][:2])
        return _product_shape(*(parts.get(name) for name in _LOKR[i]))
    if more := [name for name in _LOKR[i] if name in parts]:
        raise KLoraError(f"layer {module} has {whole} and {' and '.join(more)} beside it. {AGAIN}")
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
    _, _, b1, b2 = _need(module, parts, "glora_a1", "glora_a2", "glora_b1", "glora_b2")
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
    (blocks,) = _need(module, parts, "oft_blocks")
    _fit(blocks.ndim in (3, 4) and blocks.shape[-1] == blocks.shape[-2])
    out = blocks.shape[-3] * blocks.shape[-1]
    # BOFT halves its blocks, and stage i needs blocks of 2^i of these.
    stages = 1 if blocks.ndim == 3 else blocks.shape[0]
    _fit(blocks.ndim == 3 or (blocks.shape[-1] % 2 == 0 and out % (blocks.shape[-1] << (stages - 1)) == 0))
    _fit("oft_rescale" not in parts or parts["oft_rescale"].numel() == out)
    return out, 0


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


def _bounded(change: Change, rank: int) -> None:
    """A Tucker core is folded into ``down`` [rank, n]: refused where that is out of all proportion."""
    held = sum(tensor.numel() for tensor in change.parts.values())
    if rank * change.shape[1] > max(_TUCKER_ENTRIES, _TUCKER_GROWTH * held):
        raise KLoraError(
            f"layer {change.module} would grow from {held} to {rank} x {change.shape[1]}. {AGAIN}"
        )


_KIND_OF = {"up": "lora", "down": "lora", "mid": "lora"}
_KINDS = {
    "lora": _Kind(_lora_shape, _lora, ("down",), "LoRA"),
    "diff": _Kind(_diff_shape, _diff, (), "full difference"),
    "hada": _Kind(_loha_shape, _loha, ("hada_w1_b",), "LoHa"),
    "lokr": _Kind(_lokr_shape, _lokr, ("lokr_w2_b", "lokr_w1_b"), "LoKr"),
    "glora": _Kind(_glora_shape, None, (), "GLoRA"),
    "oft": _Kind(_oft_shape, None, (), "OFT or BOFT"),
}
