"""LoRA files read without a host: a safetensors file to slots, and what in it is no slot."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from . import checks, names, reading
from .account import Left, What
from .adapters import Change, unbound
from .base_names import is_of, of_lora
from .deltas import Delta, Slot
from .errors import KLoraError, printable
from .names_base import Base, base_of

_NO_MATRIX = "a bias or norm vector, no weight matrix"
_NO_HOST = "K-LoRA concerns the diffusion model alone"


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA file. ``slots`` is what it changes in the diffusion model, by canonical slot.

    ``left`` is what else is in it. ``modules`` are its changes by dotted path before they were placed,
    ``keys`` the tensors of each; ``guessed`` those paths whose dots were restored; ``metadata`` the text that
    the trainer wrote into it. ``waiting`` are changes that only a model's weights make complete
    (:mod:`klora_core.weight_bound`), by dotted path. ``notes`` say what else was done.
    """

    name: str
    slots: dict[Slot, Delta]
    left: tuple[Left, ...]
    keys: Mapping[str, tuple[str, ...]]
    modules: Mapping[str, Delta]
    guessed: frozenset[str]
    metadata: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, Change] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def base(self) -> str | None:
        """The base model that it was trained on, None where neither its layers nor its metadata tell."""
        return of_lora({**_shapes(self.modules), **_shapes(self.waiting)}, self.metadata)

    @property
    def applied(self) -> frozenset[str]:
        """The tensors that its slots are made of."""
        return frozenset(key for path in (*self.modules, *self.waiting) for key in self.keys[path])

    @property
    def text_encoder(self) -> tuple[str, ...]:
        """The names of its text-encoder modules."""
        return tuple(item.name for item in self.left if item.what is What.TEXT)

    @property
    def skipped(self) -> tuple[Left, ...]:
        """What is no slot and no part of a text encoder."""
        return tuple(item for item in self.left if item.what is not What.TEXT)


def read(path: str | Path, for_model: bool = False) -> LoraFile:
    """Read a LoRA file; tensors keep their dtype and stay memory-mapped.

    ``for_model``: changes that depend on a model's weights wait for them; without it they are refused.
    Raises KLoraError that names the file, the layer where there is one, and the remedy.
    """
    path = Path(path)
    with _naming(printable(path.name)):
        return _read(path, for_model)


def read_pair(subject: str | Path, style: str | Path) -> tuple[LoraFile, LoraFile]:
    """Two files whose slots are spelled alike. Raises KLoraError as :func:`read` does."""
    return align(read(subject), read(style))


def align(first: LoraFile, second: LoraFile) -> tuple[LoraFile, LoraFile]:
    """Two files with one spelling: what one leaves open about base model and dots, the other settles."""
    bases = [base_of(_shapes(file.modules)) for file in (first, second)]
    settled = [bases[0].or_else(bases[1]), bases[1].or_else(bases[0])]
    slots = [_place(file, base) for file, base in zip((first, second), settled, strict=True)]
    sure = [
        {names.flat(s.weight): s.weight for s, guessed in found.items() if not guessed} for found in slots
    ]
    aligned = []
    for file, base, spelling in zip((first, second), settled, reversed(sure), strict=True):
        with _naming(file.name):
            aligned.append(replace(file, slots=_respelled(file, base, spelling)))
    _check_sizes(aligned[0], aligned[1])
    return aligned[0], aligned[1]


def from_tensors(
    name: str,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    for_model: bool = False,
) -> LoraFile:
    """A LoRA from its tensors by key. ``tensors`` may load lazily: each is read at most once.

    ``metadata`` is the text in the file's header, ``for_model`` as in :func:`read`. Raises KLoraError as
    :func:`klora_core.reading.read` does, for a layer that is there in two spellings, for one that needs a
    model's weights without ``for_model``, and where no weight of the diffusion model is changed.
    """
    found = reading.read(tensors, metadata)
    left = list(found.left)
    deltas: dict[str, Delta] = {}
    guessed: set[str] = set()
    keys: dict[str, tuple[str, ...]] = {}
    waiting: dict[str, Change] = {}
    for module in found.modules:
        if module.is_text:
            left.append(Left(printable(module.raw), _NO_HOST, What.TEXT, module.all_keys))
            continue
        left += [Left(printable(v.key), _NO_MATRIX, What.VECTOR, (v.key,)) for v in module.vectors]
        if module.change is None:
            continue
        path, restored = names.module(module.raw)
        if path in deltas or path in waiting:
            raise checks.twice(module.raw)
        if not module.change.needs_weight:
            deltas[path] = module.change.delta()
        elif for_model:
            waiting[path] = module.change
        else:
            raise unbound(printable(module.raw), module.change.label)
        keys[path] = module.keys
        if restored:
            guessed.add(path)
    if not (deltas or waiting):
        is_text = any(item.what is What.TEXT for item in left)
        what = "only the text encoder" if is_text else "no weight matrix of the diffusion model"
        raise KLoraError(f"changes {what}, so there is nothing to fuse: choose another LoRA.")
    file = LoraFile(
        name,
        {},
        tuple(left),
        keys,
        deltas,
        frozenset(guessed),
        dict(metadata or {}),
        waiting,
        found.notes,
    )
    return replace(file, slots=_respelled(file, base_of(_shapes(deltas)), {}))


def _check_sizes(first: LoraFile, second: LoraFile) -> None:
    """Two files for one base model: a module has one shape, a weight one input size, and rows lie in it."""
    for path in first.modules.keys() & second.modules.keys():
        if first.modules[path].shape != second.modules[path].shape:
            raise _unequal(path, first, first.modules[path].shape, second, second.modules[path].shape)
    theirs = defaultdict(list)
    for slot, delta in second.slots.items():
        theirs[slot.weight].append((slot, delta))
    for slot, delta in first.slots.items():
        for other, change in theirs[slot.weight]:
            if not _fit(slot, delta, other, change):
                raise _unequal(slot.weight, first, delta.shape, second, change.shape)


def _fit(slot: Slot, delta: Delta, other: Slot, change: Delta) -> bool:
    out, their_out = (sum(s.rows) if s.rows else d.shape[0] for s, d in ((slot, delta), (other, change)))
    if slot.rows is None and other.rows is None:
        return delta.shape == change.shape
    inside = (slot.rows is not None or their_out <= out) and (other.rows is not None or out <= their_out)
    return inside and delta.shape[1] == change.shape[1]


def _unequal(
    layer: str, first: LoraFile, ours: tuple[int, int], second: LoraFile, theirs: tuple[int, int]
) -> KLoraError:
    sizes = [f"{out} x {n} in {file.name}" for file, (out, n) in ((first, ours), (second, theirs))]
    one, other = first.base, second.base
    named = f" ({one} LoRA, {other} LoRA)" if one and other and not is_of(one, other) else ""
    return KLoraError(
        f"Layer {layer} is {' and '.join(sizes)}: they were trained on different base models{named}. "
        "Use two LoRAs of the same base model."
    )


def _shapes(modules: Mapping[str, Delta] | Mapping[str, Change]) -> dict[str, tuple[int, int]]:
    return {path: change.shape for path, change in modules.items()}


def _place(file: LoraFile, base: Base) -> dict[Slot, bool]:
    """The slots of a file, and whether the dots in each name were restored."""
    return {
        names.place(path, change.shape, base).slot: path in file.guessed
        for path, change in file.modules.items()
    }


def _respelled(file: LoraFile, base: Base, sure: Mapping[str, str]) -> dict[Slot, Delta]:
    """The slots of a file; restored dots give way to the spelling in ``sure`` (flattened -> dotted)."""
    slots: dict[Slot, Delta] = {}
    for path, change in file.modules.items():
        place = names.place(path, change.shape, base)
        slot = place.slot
        if path in file.guessed:
            slot = Slot(sure.get(names.flat(slot.weight), slot.weight), slot.rows)
        if slot in slots:
            raise checks.twice(slot.name)
        slots[slot] = swapped(change) if place.swap_halves else change
    return slots


def swapped(change: Delta) -> Delta:
    """dW with the two halves of its rows in each other's place."""
    return change.reordered(swap_order(change.shape[0]))


def swap_order(out: int) -> Tensor:
    """The order of ``out`` rows that puts their halves in each other's place."""
    return torch.arange(out).roll(out // 2)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Puts the file's name before the message of a KLoraError."""
    try:
        yield
    except KLoraError as error:
        raise KLoraError(f"{name}: {error}") from error


@contextmanager
def utf8_path(path: str | Path) -> Iterator[str]:
    """The path, or for a name that is no UTF-8, which safetensors can't open, a link to it for the time."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = os.path.join(folder, f"lora{os.path.splitext(path)[1]}")
            os.symlink(os.path.abspath(path), link)
            yield link
    else:
        yield os.fspath(path)


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


def _read(path: Path, for_model: bool) -> LoraFile:
    if not path.exists():
        raise KLoraError(f"there is no such file ({printable(path)}). Check the path.")
    if not path.is_file():
        raise KLoraError("is not a file. Give the path of a .safetensors file.")
    try:
        with utf8_path(path) as plain, safe_open(plain, framework="pt") as file:
            return from_tensors(printable(path.name), _LazyTensors(file), file.metadata(), for_model)
    except SafetensorError as error:
        hint = "It is incomplete or damaged: download it again."
        if path.suffix.lower() != ".safetensors":
            hint = "Only .safetensors files are read: convert it, or choose another LoRA."
        raise KLoraError(f"is not a complete safetensors file ({printable(error)}). {hint}") from error
    except OSError as error:
        raise KLoraError(f"can't be read ({error.strerror or error}). Check the file.") from error
