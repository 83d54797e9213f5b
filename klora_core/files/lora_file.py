"""A LoRA file without a host: its modules by dotted path, and what in it is no change of a weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .. import names
from ..deltas import Delta
from ..errors import KLoraError, naming, printable
from ..names import BaseModel, Slot, base_model_of
from .change import Change, unbound
from .fused import unfused
from .header import utf8_path
from .left import TEXT_REASON, Left, What, told_once
from .reading import read_tensors
from .torch_file import is_torch_file, read_torch
from .values import AGAIN, strange, twice

_NO_MATRIX = "a bias or norm vector, no weight matrix"


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA file. ``slots`` is what it changes in the diffusion model, by canonical slot, once it is placed.

    ``left`` is what else is in it. ``modules`` are its changes by dotted path, ``keys`` the tensors of each,
    ``placed`` the slot of each once it is placed, ``heights`` the rows of fused weights of which slots are
    parts, by weight, where the parts tell them; ``guessed`` those paths whose dots were restored;
    ``metadata`` the text that the trainer wrote into it. ``waiting`` are changes that only a model's weights
    make complete (:mod:`klora_core.files.with_weights`), by dotted path. ``notes`` say what else was done.
    ``kernels`` are the shapes [out, in, kernel...] of convolutions by path, where their factors tell them.
    """

    name: str
    modules: Mapping[str, Delta]
    keys: Mapping[str, tuple[str, ...]]
    left: tuple[Left, ...] = ()
    guessed: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, Change] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kernels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    slots: dict[Slot, Delta] = field(default_factory=dict)
    placed: Mapping[str, Slot] = field(default_factory=dict)
    heights: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """[out, n] of each change by path."""
        return {path: change.shape for path, change in (*self.modules.items(), *self.waiting.items())}

    @cached_property
    def base_model(self) -> BaseModel | None:
        """The base model that it was trained on, None where neither its layers nor its metadata tell."""
        return base_model_of(self.shapes, self.metadata)

    @property
    def applied(self) -> frozenset[str]:
        """The tensors that its slots are made of."""
        return frozenset(key for path in (*self.modules, *self.waiting) for key in self.keys[path])


def lora_of(
    name: str,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None,
    for_model: bool,
) -> LoraFile:
    """A LoRA from its tensors by key, not placed yet. ``tensors`` may load lazily: each is read at most once.

    ``metadata`` is the text in the file's header. ``for_model``: changes that depend on a model's weights
    wait for them; without it they are refused. Raises KLoraError as :func:`read_tensors` does, for a layer
    that is there in two spellings, where no weight of the diffusion model is changed and, without a model,
    for a known network's names behind a prefix that is not known.
    """
    reading = unfused(read_tensors(tensors, metadata))
    left = list(reading.left)
    modules: dict[str, Delta] = {}
    guessed: set[str] = set()
    keys: dict[str, tuple[str, ...]] = {}
    waiting: dict[str, Change] = {}
    kernels: dict[str, tuple[int, ...]] = {}
    for module in reading.modules:
        if module.is_text:
            left.append(Left(printable(module.raw), TEXT_REASON, What.TEXT, module.all_keys))
            continue
        left += [Left(printable(v.key), _NO_MATRIX, What.VECTOR, (v.key,)) for v in module.vectors]
        if module.change is None:
            continue
        path, restored = names.module(module.raw)
        if path in modules or path in waiting:
            raise twice(module.raw)
        if not module.change.needs_weight:
            modules[path] = module.change.delta()
        elif for_model:
            waiting[path] = module.change
        else:
            raise unbound(printable(module.raw), module.change.label)
        keys[path] = module.keys
        if (shape := module.change.kernel_shape) is not None:
            kernels[path] = shape
        if restored:
            guessed.add(path)
    if not (modules or waiting):
        is_text = any(item.what is What.TEXT for item in left)
        what = "only the text encoder" if is_text else "no weight matrix of the diffusion model"
        raise KLoraError(f"changes {what}, so there is nothing to fuse.", "Choose another LoRA")
    found = LoraFile(
        name,
        modules,
        keys,
        told_once(left),
        frozenset(guessed),
        dict(metadata or {}),
        waiting,
        reading.notes,
        kernels,
    )
    # A model may call its layers as it likes.
    if not for_model and names.wrapper_of(found.shapes) is not None:
        raise strange([module.raw for module in reading.modules if not module.is_text])
    return found


def open_lora(path: str | Path, for_model: bool = False) -> LoraFile:
    """A LoRA file, not placed yet; tensors keep their dtype and stay memory-mapped.

    ``for_model`` as in :func:`lora_of`. Raises KLoraError that names the file, the layer where there is one,
    and the remedy.
    """
    path = Path(path)
    with naming(printable(path.name)):
        return _opened(path, for_model)


def _opened(path: Path, for_model: bool) -> LoraFile:
    if not path.exists():
        raise KLoraError(f"there is no such file ({printable(path)}).", "Check the path")
    if not path.is_file():
        raise KLoraError("is not a file.", "Give the path of a .safetensors file")
    try:
        with utf8_path(path) as plain:
            if is_torch_file(plain):
                stored = read_torch(plain)
                found = lora_of(printable(path.name), stored.tensors, None, for_model)
                return replace(found, left=(*found.left, *stored.left))
            with safe_open(plain, framework="pt") as file:
                return lora_of(printable(path.name), _LazyTensors(file), file.metadata(), for_model)
    except SafetensorError as error:
        raise KLoraError(f"is not a complete safetensors file ({printable(error)}).", AGAIN) from error
    except OSError as error:
        raise KLoraError(f"can't be read ({error.strerror or error}).", "Check the file") from error


class _LazyTensors(Mapping[str, Tensor]):
    """The tensors of an open safetensors file, read on access."""

    def __init__(self, file: safe_open) -> None:
        self._file = file
        self._keys = dict.fromkeys(file.keys())

    def __getitem__(self, key: str) -> Tensor:
        return self._file.get_tensor(key)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
