"""ZipLoRA (arXiv 2311.13600): the m_i that a training has learnt, by the names of ziplora-pytorch.

Its layers hold ``merger_1`` and ``merger_2`` in R^in, for the LoRAs in their order, beside the dense changes
``weight_1`` and ``weight_2`` that they scale; more LoRAs count on. A state dict of the UNet has them behind
``<module>.lora_layer``. What that program saves by itself is the finished sum (``<module>.lora.weight``),
which needs no merge: it loads as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ... import names
from ...errors import KLoraError, naming, printable
from ...files import LoraFile, is_torch_file, read_torch, utf8_path
from ...names import Layout, Slot
from .method import ColumnMethod, Learnt, covering

_KEY = re.compile(r"(.+?)(?:\.lora_layer)?\.(merger|weight)_([1-9]\d?)")
_SHOWN = 3


def read_mergers(path: Path, loras: Sequence[LoraFile]) -> Learnt:
    """The mergers of ``loras`` in a file of torch's or safetensors.

    Raises KLoraError for a file without mergers, for mergers of another number of LoRAs, and for those that
    do not fit their layer.
    """
    with naming(printable(path.name)):
        tensors = _tensors(path)
        found = {key: match for key in tensors if (match := _KEY.fullmatch(key))}
        mergers = {key: match for key, match in found.items() if match[2] == "merger"}
        if not mergers:
            raise KLoraError(
                "holds no mergers (<layer>.merger_1, <layer>.merger_2); a file of the finished sum needs no "
                "merge.",
                "Save the UNet's state dict after training",
            )
        count = max(int(match[3]) for match in mergers.values())
        if count != len(loras):
            raise KLoraError(
                f"has mergers of {count} LoRAs, not of {len(loras)}.",
                "Give the LoRAs of these mergers, in their order",
            )
        columns, strange = _placed({key: tensors[key] for key in mergers}, mergers, loras)
        if not any(columns):
            raise KLoraError(
                f"has mergers for {_some(strange)} alone, which no LoRA changes.",
                "Give the LoRAs of these mergers",
            )
        dense = len(found) - len(mergers)
        other = [key for key in tensors if key not in found]
        return Learnt(columns, tuple(_notes(columns, strange, dense, other, loras)))


def _tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        with utf8_path(path) as plain:
            return read_torch(plain).tensors if is_torch_file(plain) else load_file(plain)
    except (OSError, SafetensorError) as error:
        raise KLoraError(
            f"can't be read ({str(error).splitlines()[0]}).", "Give a file of mergers"
        ) from error


def _placed(
    tensors: Mapping[str, Tensor], mergers: Mapping[str, re.Match[str]], loras: Sequence[LoraFile]
) -> tuple[tuple[dict[Slot, Tensor], ...], list[str]]:
    """The mergers of each LoRA by slot, and the names of those of layers that it does not change."""
    layout = reduce(Layout.or_else, (names.layout_of(lora.shapes) for lora in loras))
    own = {path: slot for lora in loras for path, slot in lora.placed.items()}
    columns: tuple[dict[Slot, Tensor], ...] = tuple({} for _ in loras)
    strange = []
    for key, match in mergers.items():
        m, index = tensors[key], int(match[3]) - 1
        path = names.module(match[1])[0]
        slot = own.get(path) or names.place(path, (m.numel(), m.numel()), layout).slot
        inputs = {
            delta.shape[1] for at, delta in loras[index].slots.items() if covering({slot: m}, at) is not None
        }
        if not inputs:
            strange.append(printable(match[1]))
            continue
        _check(match, m, inputs)
        if slot in columns[index]:
            raise KLoraError(
                f"has {printable(key)} twice, under two names of one layer.", "Save each layer once"
            )
        columns[index][slot] = m.detach().float()
    return columns, strange


def _check(match: re.Match[str], m: Tensor, inputs: set[int]) -> None:
    name = f"{printable(match[1])}: merger_{match[3]}"
    if m.ndim != 1 or inputs != {m.numel()}:
        shape = " x ".join(map(str, m.shape))
        raise KLoraError(
            f"layer {name} has {shape or 1} values, the LoRA's layer {min(inputs)} inputs: they were learnt "
            "for other LoRAs.",
            "Give the LoRAs of these mergers, in their order",
        )
    if not (m.is_floating_point() and bool(torch.isfinite(m).all())):
        raise KLoraError(
            f"layer {name} has values that are no finite numbers: its training broke.",
            "Train the mergers again",
        )


def _notes(
    columns: Sequence[Mapping[Slot, Tensor]],
    strange: Sequence[str],
    dense: int,
    other: Sequence[str],
    loras: Sequence[LoraFile],
) -> Iterator[str]:
    for lora, own in zip(loras, columns, strict=True):
        if own:
            m = torch.cat(list(own.values()))
            yield (
                f"m of {lora.name}: {float(m.mean()):.3f} on the mean, {float(m.min()):.3f} to "
                f"{float(m.max()):.3f}, in {len(own)} layers"
            )
        plain = [slot.name for slot in lora.slots if covering(own, slot) is None]
        if plain:
            yield f"{len(plain)} layers of {lora.name} have no merger, as they are: {_some(plain)}"
    if strange:
        yield f"{len(strange)} mergers of layers that their LoRA does not change, NOT used: {_some(strange)}"
    if dense:
        yield f"{dense} dense changes beside the mergers, NOT used: the LoRA files are what is merged"
    if other:
        yield f"{len(other)} other tensors, NOT used: {_some([*map(printable, other)])}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


METHODS = (
    ColumnMethod(
        "ziplora",
        "ZipLoRA",
        "ZipLoRA, arXiv 2311.13600",
        "mergers",
        "the learnt mergers of the LoRAs in their order: a .pth, .bin or .safetensors file with "
        "<layer>.merger_1, <layer>.merger_2",
        read_mergers,
    ),
)
