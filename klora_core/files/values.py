"""What is said of a LoRA's tensor or layer that can't be used, and the check of a tensor's values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import KLoraError, printable
from .keys import ALPHA, RANKS, ROWS

AGAIN = "Download the file again, which is damaged or incomplete, or save it again from the trainer"
PLAIN = "Use a plain LoRA, or extract one from a merged model"
_FLOATS = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
}
_EXAMPLES = 3
_INTEGERS = {
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
}
_NUMBERS = {ALPHA, RANKS, ROWS}
# As many as any NumPy takes; a convolution over time and space has 5.
_MOST_DIMENSIONS = 32

# Floats whose bits are compared as integers of their size, with the bits of inf: those of NaN are beyond it.
_INF = {
    torch.float32: (torch.int32, 0x7F80 << 16),
    torch.float16: (torch.int16, 0x7C00),
    torch.bfloat16: (torch.int16, 0x7F80),
}


UNUSABLE = "which can't be carried layer by layer"
SHARED = "it is a DoRA with magnitudes of the inputs, which queries, keys and values share"


def refusal(module: str, kind: str) -> KLoraError:
    """The error for a LoRA that is of a kind which can't be used."""
    return KLoraError(f"layer {module} is {kind}, {UNUSABLE}.", PLAIN)


def empty(module: str, part: str) -> KLoraError:
    """The error for a tensor without numbers where there have to be some."""
    return KLoraError(f"layer {module}: {part} is empty.", AGAIN)


def twice(layer: str) -> KLoraError:
    """The error for a layer that a file has under two names."""
    return KLoraError(
        f"layer {printable(layer)} is there twice, in two spellings.", "Save the LoRA again from the trainer"
    )


def strange(layers: Sequence[str], before: str = "") -> KLoraError:
    """The error for a LoRA whose ``layers`` have names of no network; ``before`` begins its reason."""
    names = ", ".join(repr(printable(layer)) for layer in layers[:_EXAMPLES])
    return KLoraError(
        f"{before}it names its layers in a way that is not known here: {names}.",
        "Choose another LoRA, or save it under the names of ComfyUI or diffusers",
    )


def check_values(module: str, part: str, tensor: Tensor) -> None:
    """Raises KLoraError where a tensor is no floating point (single numbers may be whole), or not finite.

    So it does for one of more dimensions than a tensor of a layer can have.
    """
    if tensor.ndim > _MOST_DIMENSIONS:
        raise KLoraError(f"layer {module}: {part} has {tensor.ndim} dimensions, as no layer has.", AGAIN)
    if tensor.dtype not in _FLOATS and not (part in _NUMBERS and tensor.dtype in _INTEGERS):
        raise KLoraError(
            f"layer {module}: {part} is stored as {str(tensor.dtype).removeprefix('torch.')}.",
            "Use a version of this LoRA in float16, bfloat16, float32 or float8",
        )
    if part in _NUMBERS and tensor.numel() != 1:
        raise KLoraError(f"layer {module}: {part} has {tensor.numel()} values instead of one.", AGAIN)
    if not is_finite(tensor):
        raise KLoraError(
            f"layer {module}: {part} holds NaN or inf: the training diverged, or the file is damaged.",
            "Use another version of this LoRA",
        )


def misfit(shape: tuple[int, int], wanted: tuple[int, ...]) -> str | None:
    """Why a change of ``shape`` [out, n] does not fit a layer of ``wanted`` [out, n]; None where it does.

    n is 0 where only the layer knows it; ``wanted`` is empty where the layer has no such part.
    """
    out, n = shape
    return None if wanted and out == wanted[0] and n in (0, wanted[1]) else unlike(shape, wanted)


def unlike(shape: tuple[int, int], wanted: tuple[int, ...]) -> str:
    """The two sizes of :func:`misfit` in words."""
    out, n = shape
    size = " x ".join(map(str, wanted)) or "smaller"
    return f"it is {f'{out} x {n}' if n else f'{out} high'} in the LoRA and {size} in the model"


def few_misfits(misfits: int, layers: int) -> bool:
    """Whether ``misfits`` of a LoRA's ``layers`` may be layers that a variant of its base model has larger.

    That is one or two, as where an inpainting model takes more channels in, or a tenth. SD 1.5 and SD 2.1
    differ in every sixth to fourth layer, and share all names.
    """
    return 2 * misfits <= layers and (misfits <= 2 or 10 * misfits <= layers)


def is_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or inf as float32.

    In one thread on a CPU: torch shares out each of a file's thousands of small tensors, and on a busy
    machine its threads wait for each other longer than one of them reads.
    """
    if tensor.numel() == 0:
        return True
    if tensor.numel() == 1:
        return math.isfinite(tensor.to(torch.float32))
    if tensor.dtype == torch.float64:
        tensor = tensor.to(torch.float32)
    if tensor.dtype in _INF and tensor.device.type == "cpu":
        integers, inf = _INF[tensor.dtype]
        # `numpy()` would have torch take it for one that others write to.
        signed = np.from_dlpack(tensor.detach().view(integers))
        unsigned = signed.view(f"u{signed.itemsize}")
        # The largest as signed is that of the positive ones; as unsigned, negative ones come last.
        sign = 1 << (8 * signed.itemsize - 1)
        return int(signed.max()) < inf and int(unsigned.max()) < inf + sign
    # Whether an extreme is finite tells whether all are: aminmax passes NaN on.
    values = tensor if tensor.dtype.itemsize > 1 and tensor.dtype in _FLOATS else tensor.to(torch.float32)
    return all(math.isfinite(extreme) for extreme in torch.aminmax(values))
