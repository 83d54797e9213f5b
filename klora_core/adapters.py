"""Tensors of a LoRA file, grouped by module, to weight changes. Pure: names and tensors in, deltas out."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from .deltas import Delta, Dense, LowRank, lora
from .errors import KLoraError

_SUFFIXES = {
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora_B": "up",
    ".lora_A": "down",
    ".lora.up.weight": "up",
    ".lora.down.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".alpha": "alpha",
    ".diff": "diff",
    **{f".hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
}
# PEFT puts the adapter's name between; XLabs numbers the two streams of a FLUX block.
_PEFT = re.compile(r"(.+)\.lora_([AB])(?:\.(?!bias\b)[\w-]+)?\.weight")
_XLABS = re.compile(r"(.+\.(?:qkv|proj)_lora[12])\.(up|down)\.weight")

VECTOR, REFUSED = "vector", "refused"
_VECTORS = (".diff_b", ".w_norm", ".b_norm", ".set_weight", ".bias")
_REFUSED = {
    "DoRA": (".dora_scale", ".lora_magnitude_vector", ".lora_magnitude_vector.weight"),
    "OFT or BOFT": (".oft_blocks", ".oft_diag", ".oft_R.weight", ".rescale"),
    "GLoRA": (".a1.weight", ".a2.weight", ".b1.weight", ".b2.weight"),
    "a LoRA that changes the layer's size": (".reshape_weight",),
}
_AGAIN = "The file is damaged or incomplete: download it again, or save it again from the trainer."


def split(key: str) -> tuple[str, str] | None:
    """(module, part) of a tensor's name, None where it is no adapter's.

    ``part`` is a name that :func:`delta` knows, ``vector`` for biases and norms, or ``refused:<kind>``
    for changes that are more than a sum onto the weight.
    """
    if found := _PEFT.fullmatch(key):
        return found[1], "up" if found[2] == "B" else "down"
    if found := _XLABS.fullmatch(key):
        return found[1], found[2]
    for suffix, part in _SUFFIXES.items():
        if key.endswith(suffix) and len(key) > len(suffix):
            return key.removesuffix(suffix), part
    for kind, refused in _REFUSED.items():
        for suffix in refused:
            if key.endswith(suffix):
                return key.removesuffix(suffix), f"{REFUSED}:{kind}"
    for suffix in _VECTORS:
        if key.endswith(suffix):
            return re.sub(r"\.lora_(A|B|up|down)$", "", key.removesuffix(suffix)), VECTOR
    return None


def is_adapter(part: str) -> bool:
    """Whether a part by itself shows that a file is a LoRA; checkpoints have biases, and some have alphas."""
    return part not in (VECTOR, "alpha")


def delta(module: str, parts: Mapping[str, Tensor]) -> Delta | None:
    """The weight change of a module from its tensors by part; None where it changes only a vector.

    Raises KLoraError, naming the module, for kinds that need the base weight, missing counterparts, shapes
    that do not fit, dtypes that are no floating point, NaN and inf.
    """
    for part, tensor in parts.items():
        if part.startswith(REFUSED):
            raise KLoraError(
                f"layer {module} is {part.partition(':')[2]}, which does not just add to the weight and so "
                "can't be compared layer by layer. Use a plain LoRA, or extract one from a merged model."
            )
        _check_values(module, part, tensor)
    alpha = float(parts["alpha"].flatten()[0]) if "alpha" in parts else None
    kinds = {_KIND_OF.get(part, part.partition("_")[0]) for part in parts if part != "alpha"}
    if len(kinds) != 1:
        raise KLoraError(f"layer {module} has {' and '.join(sorted(kinds)) or 'only an alpha'}. {_AGAIN}")
    try:
        return _KINDS[kinds.pop()](module, parts, alpha)
    except (RuntimeError, IndexError) as error:
        shapes = ", ".join(f"{part} {tuple(t.shape)}" for part, t in parts.items() if part != "alpha")
        raise KLoraError(
            f"layer {module} has tensors that do not fit together ({shapes}). {_AGAIN}"
        ) from error


def _check_values(module: str, part: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point() and part != "alpha":
        raise KLoraError(
            f"layer {module}: {part} is stored as {str(tensor.dtype).removeprefix('torch.')}. "
            "Use a version of this LoRA in float16, bfloat16, float32 or float8."
        )
    if tensor.numel() == 0:
        raise KLoraError(f"layer {module}: {part} is empty. {_AGAIN}")
    # Whether an extreme is finite tells whether all are: aminmax passes NaN on.
    values = tensor.float() if tensor.element_size() == 1 else tensor
    if not all(torch.isfinite(extreme) for extreme in torch.aminmax(values)):
        raise KLoraError(
            f"layer {module}: {part} holds NaN or inf. The training diverged or the file is damaged: "
            "use another version of this LoRA."
        )


def _need(module: str, parts: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    missing = [name for name in names if name not in parts]
    if missing:
        there = ", ".join(name for name in parts if name != "alpha")
        raise KLoraError(f"layer {module} has {there} but no {' and no '.join(missing)}. {_AGAIN}")
    return [parts[name] for name in names]


def _lora(module: str, parts: Mapping[str, Tensor], alpha: float | None) -> LowRank | None:
    up, down = _need(module, parts, "up", "down")
    if min(up.ndim, down.ndim) < 2:
        raise RuntimeError("factors are matrices")
    mid = parts.get("mid")
    if mid is not None and (mid.ndim < 3 or mid.shape[:2] != (up.shape[1], down.shape[0])):
        raise RuntimeError("mid does not fit")
    change = lora(up, down, alpha, mid)
    if change.up.shape[1] != change.down.shape[0]:
        raise RuntimeError("inner sizes differ")
    return change


def _diff(module: str, parts: Mapping[str, Tensor], alpha: float | None) -> Dense | None:
    weight = parts["diff"]
    if weight.ndim < 2:
        return None
    weight = weight.flatten(1)
    return Dense(weight, min(weight.shape))


def _loha(module: str, parts: Mapping[str, Tensor], alpha: float | None) -> Delta:
    """dW = (A1 B1) * (A2 B2), entry by entry: a product of rank r1 * r2 with row-wise Kronecker factors."""
    a1, b1, a2, b2 = _need(module, parts, "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    scale = 1.0 if alpha is None else alpha / b1.shape[0]
    if "hada_t1" in parts or "hada_t2" in parts:
        t1, t2 = _need(module, parts, "hada_t1", "hada_t2")
        (u1, d1), (u2, d2) = _tucker(t1, a1, b1), _tucker(t2, a2, b2)
    else:
        (u1, d1), (u2, d2) = (a1.float(), b1.float().flatten(1)), (a2.float(), b2.float().flatten(1))
    rank = d1.shape[0] * d2.shape[0]
    if not _worth_factors(rank, u1.shape[0], d1.shape[1]):
        return Dense((u1 @ d1) * (u2 @ d2), rank, scale)
    up = torch.einsum("or,os->ors", u1, u2).flatten(1)
    down = torch.einsum("rn,sn->rsn", d1, d2).flatten(0, 1)
    if up.shape[1] != down.shape[0]:
        raise RuntimeError("inner sizes differ")
    return LowRank(up, down, scale)


def _lokr(module: str, parts: Mapping[str, Tensor], alpha: float | None) -> Delta:
    """dW = W1 (x) W2, a Kronecker product; of rank rank(W1) * rank(W2)."""
    (u1, d1), rank1 = _lokr_factor(module, parts, "lokr_w1")
    (u2, d2), rank2 = _lokr_factor(module, parts, "lokr_w2")
    divisor = rank2 or rank1
    scale = 1.0 if alpha is None or divisor is None else alpha / divisor
    rank = d1.shape[0] * d2.shape[0]
    if not _worth_factors(rank, u1.shape[0] * u2.shape[0], d1.shape[1] * d2.shape[1]):
        return Dense(torch.kron(u1 @ d1, u2 @ d2), rank, scale)
    return LowRank(torch.kron(u1, u2), torch.kron(d1, d2), scale)


def _lokr_factor(
    module: str, parts: Mapping[str, Tensor], name: str
) -> tuple[tuple[Tensor, Tensor], int | None]:
    """One Kronecker factor as float32 (up, down), and the rank that alpha counts: None if it is whole."""
    if name in parts:
        whole = parts[name].float().flatten(1)
        rows, columns = whole.shape
        return ((torch.eye(rows), whole) if rows <= columns else (whole, torch.eye(columns))), None
    a, b = _need(module, parts, f"{name}_a", f"{name}_b")
    core = parts.get("lokr_t2") if name == "lokr_w2" else None
    factors = (a.float(), b.float().flatten(1)) if core is None else _tucker(core, a, b)
    return factors, b.shape[0]


def _tucker(core: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """LyCORIS's Tucker form as (up, down): core [r, r, kernel...], ``a`` [r, out], ``b`` [r, in]."""
    down = torch.einsum("ijk,jn->ink", core.float().flatten(2), b.float())
    return a.float().T.contiguous(), down.flatten(1)


def _worth_factors(rank: int, out: int, n: int) -> bool:
    return rank * (out + n) < out * n


_KIND_OF = {"up": "lora", "down": "lora", "mid": "lora"}
_KINDS = {"lora": _lora, "diff": _diff, "hada": _loha, "lokr": _lokr}
