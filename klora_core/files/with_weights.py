"""Changes that depend on the layer's weight, made exact with it: GLoRA, OFT, BOFT and DoRA.

The weight is read once, for its norms or its products; nothing of its size is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..deltas import Additive, Delta, Gated, LayerWeight, LowRank, OutputMap, Remapped, as_float32, cayley
from ..errors import KLoraError
from .change import Change
from .kinds import glora_rank, is_old_glora
from .values import AGAIN

_EPSILON = torch.finfo(torch.float32).eps


def hindered(change: Change, order: Tensor | None) -> str | None:
    """Why a change can't be used in a layer whose rows lie in another ``order``; None where it can."""
    if change.kind.name == "oft" and order is not None:
        return "it is OFT or BOFT, but the model keeps the layer's rows in another order"
    return None


def bound(
    change: Change,
    base: LayerWeight,
    device: torch.device | str = "cpu",
    order: Tensor | None = None,
    norms_of_base: bool = False,
) -> Delta:
    """What ``change`` does to the layer of weight ``base``; a plain change as it is.

    ``order`` puts row ``order[i]`` of the change to row i of the weight. ``norms_of_base``: a LyCORIS DoRA of
    rows divides by the norms of W alone, as ComfyUI's own loader does, instead of those of W + D, as the
    paper and PEFT do. The work is done on ``device``; the result is on the CPU. Raises KLoraError, naming the
    module, for a magnitude of another size than the layer.
    """
    if not change.needs_weight:
        return _ordered(change.delta(), order)
    if change.kind.name == "oft":
        if (reason := hindered(change, order)) is not None:
            raise KLoraError(f"layer {change.module}: {reason}.", "Use a plain LoRA")
        return Remapped(base, torch.ones(1), left=_rotation(change))
    made = glora(change, base, device) if change.kind.name == "glora" else change.delta()
    inner = _ordered(made, order)
    assert not isinstance(inner, Gated), "a LoRA with chosen ranks needs no weight"
    if change.dora is None:
        return inner
    return _dora(change, base, inner, order, torch.device(device), norms_of_base and not change.peft)


def _ordered(delta: Additive | Gated, order: Tensor | None) -> Additive | Gated:
    return delta if order is None else delta.reordered(order)


def _rotation(change: Change) -> OutputMap:
    """W' = diag(rescale) R^T W of OFT (LyCORIS, kohya) and R W of BOFT, alpha the limit of ||Q||."""
    blocks, rescale = change.parts["oft_blocks"].cpu(), change.parts.get("oft_rescale")
    turns = cayley(blocks, change.alpha or 0.0)
    is_butterfly = blocks.ndim == 4
    turns = turns if is_butterfly else turns.transpose(-1, -2).unsqueeze(0)
    gains = None if rescale is None else (rescale.cpu().double().flatten() - 1).float()
    return OutputMap(turns.float().contiguous(), gains, is_butterfly)


def glora(change: Change, base: LayerWeight, device: torch.device | str) -> LowRank:
    """dW = s (b1 b2 + W a1 a2) (GLoRA, arXiv 2306.07967, in LyCORIS's form) as factors; s = alpha / rank.

    A convolution's a1 and a2 mix its channels at each place of the kernel, which have a factor each.
    """
    a1, a2, b1, b2 = as_float32(
        [change.parts[f"glora_{n}"].flatten(1) for n in ("a1", "a2", "b1", "b2")], device
    )
    rank = glora_rank(change.parts)
    if is_old_glora(change.parts):
        a1, a2, b1, b2 = a2, a1, b2, b1
    if change.rows is not None:
        b1 = b1.narrow(0, *change.rows)
    weight, kernel = base.flat(device), base.kernel
    channels = weight.shape[1] // kernel
    if a1.shape == (channels, rank) and a2.shape == (rank, channels):
        places = weight.view(-1, channels, kernel)
        up = torch.einsum("oik,ir->ork", places, a1).flatten(1)
        down = torch.einsum("ri,kl->rkil", a2, torch.eye(kernel, device=a2.device)).reshape(rank * kernel, -1)
    elif a1.shape == (weight.shape[1], rank) and a2.shape == (rank, weight.shape[1]):
        up, down = weight @ a1, a2
    else:
        sizes = f"{tuple(a1.shape)} and {tuple(a2.shape)}"
        raise KLoraError(f"layer {change.module}: its GLoRA has {sizes} for {channels} inputs.", AGAIN)
    scale = 1.0 if change.alpha is None else change.alpha / rank
    return LowRank(torch.cat([b1, up], 1).cpu(), torch.cat([b2, down]).cpu(), scale)


def _dora(
    change: Change,
    base: LayerWeight,
    inner: Additive,
    order: Tensor | None,
    device: torch.device,
    of_base: bool,
) -> Remapped:
    """W' = diag(m / ||W + D||) (W + D) by rows, or the same by columns (DoRA, arXiv 2402.09353)."""
    assert change.dora is not None
    out, n = base.shape
    channels = n // base.kernel
    magnitude = change.dora.detach().to("cpu", torch.float64)
    by_rows = change.by_rows
    if not by_rows and magnitude.numel() != channels:
        raise KLoraError(
            f"layer {change.module}: its DoRA has {magnitude.numel()} magnitudes for {out} rows and "
            f"{channels} inputs.",
            AGAIN,
        )
    merged = base.flat(device)
    if not (by_rows and of_base):
        merged = merged + inner.dense(device)
    sizes = (1,) if by_rows else (0, 2)
    norms = merged.view(out, channels, base.kernel).flatten(1) if by_rows else merged.view(out, channels, -1)
    norm = torch.linalg.vector_norm(norms, dim=sizes).cpu().double() + _EPSILON
    magnitude = magnitude.flatten()
    if by_rows and order is not None:
        magnitude = magnitude[order]
    less_one = (magnitude / norm - 1).float()
    parts = torch.tensor([1.0, inner.scale])
    left = OutputMap(None, less_one) if by_rows else None
    return Remapped(base, parts, inner, left, None if by_rows else less_one)
