"""LoRA files read without a host: a safetensors file to slots, and what in it is no slot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from . import adapters, names
from .deltas import Delta, Slot
from .errors import KLoraError


@dataclass(frozen=True)
class Skipped:
    """A module or tensor of a file that is no slot, and the reason for it."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA file. ``slots`` is what it changes in the diffusion model, by canonical slot.

    ``text_encoder`` names its text-encoder modules, ``skipped`` what else is no slot. ``modules`` are its
    changes by dotted path before they were placed; ``guessed`` those paths whose dots were restored.
    """

    name: str
    slots: dict[Slot, Delta]
    text_encoder: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    modules: Mapping[str, Delta]
    guessed: frozenset[str]


def read(path: str | Path) -> LoraFile:
    """Read a LoRA file; tensors keep their dtype and stay memory-mapped.

    Raises KLoraError that names the file, the layer where there is one, and the remedy.
    """
    path = Path(path)
    with _naming(path.name):
        return _read(path)


def read_pair(subject: str | Path, style: str | Path) -> tuple[LoraFile, LoraFile]:
    """Two files whose slots are spelled alike. Raises KLoraError as :func:`read` does."""
    return align(read(subject), read(style))


def align(first: LoraFile, second: LoraFile) -> tuple[LoraFile, LoraFile]:
    """Two files with one spelling: what one leaves open about base model and dots, the other settles."""
    bases = [names.base(_shapes(file.modules)) for file in (first, second)]
    settled = [bases[0].or_else(bases[1]), bases[1].or_else(bases[0])]
    slots = [_place(file, base) for file, base in zip((first, second), settled, strict=True)]
    sure = [
        {names.flat(s.weight): s.weight for s, guessed in found.items() if not guessed} for found in slots
    ]
    aligned = []
    for file, base, spelling in zip((first, second), settled, reversed(sure), strict=True):
        with _naming(file.name):
            aligned.append(replace(file, slots=_respelled(file, base, spelling)))
    return aligned[0], aligned[1]


def from_tensors(name: str, tensors: Mapping[str, Tensor]) -> LoraFile:
    """A LoRA from its tensors by key. ``tensors`` may load lazily: each is read once. Raises KLoraError."""
    modules: dict[str, dict[str, str]] = defaultdict(dict)
    text_encoder: dict[str, None] = {}
    skipped: list[Skipped] = []
    is_lora = False
    for key in sorted(tensors.keys()):
        found = adapters.split(key)
        if found is None:
            skipped.append(Skipped(key, "not understood"))
            continue
        raw, part = found
        is_lora = is_lora or adapters.is_adapter(part)
        if names.is_text_encoder(raw):
            text_encoder[raw] = None
        elif part == adapters.VECTOR:
            skipped.append(Skipped(key, "a bias or norm vector, no weight matrix"))
        elif part in modules[raw]:
            raise KLoraError(f"layer {raw} has two tensors for {part}. Save one adapter a file.")
        else:
            modules[raw][part] = key
    if not is_lora:
        raise KLoraError(
            "holds no LoRA (no lora_up/lora_down, lora_A/lora_B or similar tensors). "
            "It may be a checkpoint, a VAE or an embedding: choose a LoRA file."
        )
    return _build(name, tensors, modules, tuple(text_encoder), skipped)


def _build(
    name: str,
    tensors: Mapping[str, Tensor],
    modules: Mapping[str, Mapping[str, str]],
    text_encoder: tuple[str, ...],
    skipped: list[Skipped],
) -> LoraFile:
    deltas: dict[str, Delta] = {}
    guessed = set()
    for raw, keys in modules.items():
        if set(keys) == {"alpha"}:
            skipped.append(Skipped(raw, "an alpha without weights"))
            continue
        change = adapters.delta(raw, {part: tensors[key] for part, key in keys.items()})
        if change is None:
            skipped.append(Skipped(raw, "a bias or norm vector, no weight matrix"))
            continue
        path, restored = names.module(raw)
        if path in deltas:
            raise KLoraError(f"layer {raw} is there twice, in two spellings. Save it again from the trainer.")
        deltas[path] = change
        if restored:
            guessed.add(path)
    if not deltas:
        what = "only the text encoder" if text_encoder else "no weight matrix of the diffusion model"
        raise KLoraError(f"changes {what}, so there is nothing to fuse: choose another LoRA.")
    file = LoraFile(name, {}, text_encoder, tuple(skipped), deltas, frozenset(guessed))
    return replace(file, slots=_respelled(file, names.base(_shapes(deltas)), {}))


def _shapes(modules: Mapping[str, Delta]) -> dict[str, tuple[int, int]]:
    return {path: change.shape for path, change in modules.items()}


def _place(file: LoraFile, base: names.Base) -> dict[Slot, bool]:
    """The slots of a file, and whether the dots in each name were restored."""
    return {
        names.place(path, change.shape, base).slot: path in file.guessed
        for path, change in file.modules.items()
    }


def _respelled(file: LoraFile, base: names.Base, sure: Mapping[str, str]) -> dict[Slot, Delta]:
    """The slots of a file; restored dots give way to the spelling in ``sure`` (flattened -> dotted)."""
    slots: dict[Slot, Delta] = {}
    for path, change in file.modules.items():
        place = names.place(path, change.shape, base)
        slot = place.slot
        if path in file.guessed:
            slot = Slot(sure.get(names.flat(slot.weight), slot.weight), slot.rows)
        if slot in slots:
            raise KLoraError(f"layer {slot.name} is there twice, in two spellings. Save it again.")
        slots[slot] = _swapped(change) if place.swap_halves else change
    return slots


def _swapped(change: Delta) -> Delta:
    rows = torch.arange(change.shape[0])
    return change.reordered(rows.roll(change.shape[0] // 2))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Puts the file's name before the message of a KLoraError."""
    try:
        yield
    except KLoraError as error:
        raise KLoraError(f"{name}: {error}") from error


class _LazyTensors(Mapping[str, Tensor]):
    """The tensors of an open safetensors file, read on access."""

    def __init__(self, file: safe_open) -> None:
        self._file = file
        self._keys = tuple(file.keys())

    def __getitem__(self, key: str) -> Tensor:
        return self._file.get_tensor(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _read(path: Path) -> LoraFile:
    if not path.exists():
        raise KLoraError(f"there is no such file ({path}). Check the path.")
    if not path.is_file():
        raise KLoraError("is not a file. Give the path of a .safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            return from_tensors(path.name, _LazyTensors(file))
    except SafetensorError as error:
        hint = "It is incomplete or damaged: download it again."
        if path.suffix.lower() != ".safetensors":
            hint = "Only .safetensors files are read: convert it, or choose another LoRA."
        raise KLoraError(f"is not a complete safetensors file ({error}). {hint}") from error
    except OSError as error:
        raise KLoraError(f"can't be read ({error.strerror or error}). Check the file.") from error
