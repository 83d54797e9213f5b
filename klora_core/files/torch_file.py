"""LoRA files that ``torch.save`` wrote (.bin, .pt, .pth, .ckpt): tensors, and nothing that could run."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import KLoraError, printable
from .keys import ALPHA, RANKS, split
from .left import Left, What
from .values import AGAIN

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_SUFFIXES = {".bin", ".pt", ".pt2", ".pth", ".ckpt", ".pkl"}
_SAFETENSORS = (".safetensors", ".sft")
SUFFIXES = frozenset((*_SUFFIXES, *_SAFETENSORS))
"""What the names of files that LoRAs are kept in end in, in small letters."""
_NO_TENSOR = "no tensor"
_SAFE_FILE = "the .safetensors file of this LoRA, or convert it where you trust it"
_SAFE = f"Choose {_SAFE_FILE}"
# How often a state dict is looked for in another, and how much more than a file may its tensors hold.
_DEEPEST, _GROWTH, _SMALL = 3, 2, 2**20
_SHOWN, _LARGEST = 3, 1e9


@dataclass(frozen=True, eq=False)
class Stored:
    """The tensors of a file by name, and what else is in it."""

    tensors: dict[str, Tensor]
    left: tuple[Left, ...] = ()


def is_torch_file(path: str | Path) -> bool:
    """Whether a file is one of torch's by its first bytes or, where they tell nothing, by its name.

    Raises OSError.
    """
    head = _head(path)
    # Of a safetensors file the first eight bytes are a length, and then JSON begins.
    if head[8:] == b"{":
        return False
    return head.startswith((_ZIP, _PICKLE)) or Path(path).suffix.lower() in _SUFFIXES


def _head(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(9)


def read_torch(path: str | Path) -> Stored:
    """The tensors of a file that ``torch.save`` wrote, on the CPU, plain and each in memory of its own.

    A state dict may lie in another one (``state_dict``, or the only one there is); a list is the first LoRA
    format's, up and down in turn. Large files are mapped, not read. Raises KLoraError, without the file's
    name, for one that holds objects other than tensors, numbers and texts, and for one that is damaged.
    """
    loaded = _loaded(path)
    if isinstance(loaded, Sequence) and not isinstance(loaded, str):
        network = "text_encoder" if Path(path).stem.endswith(".text_encoder") else "unet"
        named = {f"{network}:{i // 2}:{('up', 'down')[i % 2]}": each for i, each in enumerate(loaded)}
    else:
        named = loaded
    tensors: dict[str, Tensor] = {}
    left: list[Left] = []
    for key, value in _entries(named, left):
        pair = split(key) if isinstance(key, str) else None
        if pair and pair[1] in (ALPHA, RANKS) and type(value) in (int, float) and abs(value) < _LARGEST:
            value = torch.tensor(float(value))
        if isinstance(key, str) and isinstance(value, Tensor):
            tensors[key] = value
        else:
            left.append(_left(key))
    return Stored(_plain(tensors, Path(path).stat().st_size), tuple(left))


def _left(key: object) -> Left:
    return Left(printable(key), _NO_TENSOR, What.TENSOR, (str(key),))


def _entries(loaded: Any, left: list[Left]) -> list[tuple[Any, Any]]:
    """What the state dict holds; what lies beside it goes to ``left``."""
    for _ in range(_DEEPEST):
        if not isinstance(loaded, Mapping):
            break
        inner = {key: value for key, value in loaded.items() if isinstance(value, Mapping)}
        if "state_dict" in inner:
            key = "state_dict"
        elif len(inner) == 1 and not any(isinstance(value, Tensor) for value in loaded.values()):
            (key,) = inner
        else:
            break
        left += [_left(other) for other in loaded if other != key]
        loaded = inner[key]
    return list(loaded.items()) if isinstance(loaded, Mapping) else []


def _loaded(path: str | Path) -> Any:
    """What torch makes of the file where it may make tensors alone."""
    is_zip = _head(path).startswith(_ZIP)
    if is_zip and not zipfile.is_zipfile(path):
        raise _damaged()
    if is_zip and _is_packed(path):
        raise KLoraError("is a packed archive.", "Unpack the archive, and choose the LoRA file in it")
    try:
        if is_zip and Path(path).suffix.lower() not in _SAFETENSORS:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        # By that name torch would hand a path on to safetensors.
        with open(path, "rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except Exception as error:
        # Of a damaged file anything may come out.
        raise _damaged(_objects(path)) from error


def _damaged(objects: str = "") -> KLoraError:
    if objects:
        return KLoraError(
            f"holds Python objects beside its tensors ({objects}), which could run code, so that it is not "
            "opened.",
            _SAFE,
        )
    return KLoraError(
        "is no complete torch file, or holds Python objects beside its tensors, which could run code: it is "
        "not opened.",
        f"Download the file again, or choose {_SAFE_FILE}",
    )


def _is_packed(path: str | Path) -> bool:
    """Whether a zip file is compressed: torch's are not, and are mapped, so that bytes pass for numbers."""
    try:
        with zipfile.ZipFile(path) as file:
            return any(entry.compress_type != zipfile.ZIP_STORED for entry in file.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged() from error


def _objects(path: str | Path) -> str:
    """What a file would have Python make beside tensors; nothing where that can't be told."""
    try:
        found = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:
        return ""
    return ", ".join(map(printable, found[:_SHOWN]))


def _plain(tensors: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """The tensors as those of a safetensors file are: dense, in rows, none in another's memory."""
    for key, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise KLoraError(f"{printable(key)} is stored in a form of torch's own.", _SAFE)
    # A file of a few bytes may say that one number stands for billions.
    if sum(tensor.nbytes for tensor in tensors.values()) > _GROWTH * size + _SMALL:
        raise KLoraError("says that it holds more numbers than fit into it.", AGAIN)
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, tensor in tensors.items():
        own = tensor.detach()
        memory = own.untyped_storage().data_ptr()
        if memory in seen or not own.is_contiguous():
            own = own.clone(memory_format=torch.contiguous_format)
        seen.add(memory)
        plain[key] = own
    return plain
