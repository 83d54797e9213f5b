"""UnZipLoRA's published files: what of a half lies beside it is worked into it, so that it can be added.

Its code saves a LoRA whose ``up`` has k in it already, and m, which it calls a merger, in another file.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ... import files, names
from ...errors import KLoraError, printable
from .unzip import folded


def with_mergers(
    lora: files.LoraFile, tensors: Mapping[str, Tensor], mergers: Mapping[str, Tensor], half: str
) -> dict[str, Tensor]:
    """The tensors of a half's file by key, m in each ``up``; else as they are, in their own precision.

    ``lora`` is the file as it is read, ``mergers`` the torch file's tensors, one a layer: m [out].

    Raises KLoraError for a layer without its m or the other way round, and for an m of another size or with
    values that are no numbers.
    """
    by_path = _by_path(mergers, half)
    written = dict(tensors)
    for path, shape in lora.shapes.items():
        learned = by_path.pop(path, None)
        if learned is None:
            raise KLoraError(
                f"there is no {half} merger for layer {path}.", "Give the merger file of this LoRA"
            )
        if learned.shape != shape[:1] or not learned.isfinite().all():
            raise KLoraError(
                f"layer {path} has {_found(learned)}, and {shape[0]} numbers are expected.",
                "Give the merger file of this LoRA",
            )
        up = next((key for key in lora.keys[path] if (files.split(key) or ("", ""))[1] == "up"), None)
        if up is None:
            raise KLoraError(f"layer {path} has no up and down.", "Give a LoRA that UnZipLoRA trained")
        written[up] = folded(tensors[up].float(), [learned.float()]).to(tensors[up].dtype)
    if by_path:
        raise KLoraError(f"the LoRA has no layer {next(iter(by_path))}.", "Give the LoRA of this merger file")
    return written


def _by_path(mergers: Mapping[str, Tensor], half: str) -> dict[str, Tensor]:
    """m by the path of its layer."""
    end = f".lora.merge_{half}"
    other = next((key for key in mergers if not key.endswith(end)), None)
    if other is not None or not mergers:
        held = "nothing" if other is None else printable(other)
        raise KLoraError(f"holds {held}, not ...{end}.", f"Give a _merger_{half}.pth of UnZipLoRA")
    return {names.module(key.removesuffix(end))[0]: tensor for key, tensor in mergers.items()}


def _found(learned: Tensor) -> str:
    if not torch.isfinite(learned).all():
        return "values that are no numbers"
    return " x ".join(map(str, learned.shape)) or "one number"
