"""The one reader of LoRA tensors, of files and of state dicts: each has its module or is left by name.

Nothing here knows a model. What a module changes is looked up by whoever asked: by the tables of names where
there is no host, by the host's own key map where there is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .. import names
from ..errors import KLoraError, printable
from .adapters import change_of, divided, from_row, plain
from .change import Change
from .header import Scales
from .keys import (
    ALPHA,
    BIAS,
    DORA,
    LORA_BIAS,
    MAGNITUDE,
    RANKS,
    ROWS,
    WHOLE,
    Refused,
    is_adapter,
    is_text,
    split,
)
from .learned import is_gate
from .left import Left, What
from .values import AGAIN, PLAIN, UNUSABLE, check_values, empty, refusal

_UNKNOWN = "not understood"
_WHOLE_REASON = "it replaces the model's values instead of adding to them"
_NO_RANK = "its rank is 0, so that it changes nothing"
_NO_ORDER = (
    "it is told by a number alone, and numbers and sizes fit no network known here (SD 1.5, SD 2, SDXL)"
)
_EMBEDDING = "a word's embedding (textual inversion), no layer"
# How embeddings beside a LoRA are marked: in the header by the first format, by name in bundles.
_MARK, _BUNDLE = "<embed>", "bundle_emb."
_USELESS = "its layer has no factors that it could scale"
_CONTROL = ("img_in.lora_A.weight", "single_blocks.0.norm.key_norm.scale")
_MAGNITUDES = (DORA, MAGNITUDE)
_NUMBERS = (ALPHA, RANKS, ROWS)


@dataclass(frozen=True, eq=False)
class Vector:
    """What is added to a bias or a norm at the LoRA's strength; ``key`` is the tensor's name in the file."""

    key: str
    tensor: Tensor


@dataclass(frozen=True, eq=False)
class Module:
    """What a LoRA does to one module, by the module's name as the file spells it.

    ``change`` is added to its weight matrix, ``norm`` to a weight that is a vector, ``bias`` to its bias.
    ``keys`` are the tensors of ``change``.
    """

    raw: str
    is_text: bool
    keys: tuple[str, ...] = ()
    change: Change | None = None
    norm: Vector | None = None
    bias: Vector | None = None

    @property
    def vectors(self) -> tuple[Vector, ...]:
        return tuple(vector for vector in (self.norm, self.bias) if vector is not None)

    @property
    def all_keys(self) -> tuple[str, ...]:
        return (*self.keys, *(vector.key for vector in self.vectors))


@dataclass(frozen=True, eq=False)
class Reading:
    """A LoRA's modules, the tensors that belong to none, and what else there is to say about it."""

    modules: tuple[Module, ...]
    left: tuple[Left, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Tensors:
    keys: dict[str, str] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)


def check_layout(tensors: Mapping[str, object]) -> None:
    """Raises KLoraError for FLUX's control LoRAs, whose names alone do not show that a layer grows."""
    if all(key in tensors for key in _CONTROL):
        raise refusal("img_in", "part of a control LoRA that changes the layer's size")


def read_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Reading:
    """The modules of a LoRA from its tensors by name. ``tensors`` may load lazily: each is read at most once.

    ``metadata`` is the text in the file's header, which may say how a LoRA without alphas is scaled. Modules
    of a kind that can't be used are left by name. Raises KLoraError for what is no LoRA, for a LoRA of
    nothing else than such modules or layers of rank 0, and for a module with missing or doubled tensors,
    shapes that do not fit, values that are not finite, or dtypes that are no floating point.
    """
    check_layout(tensors)
    if is_gate(tensors):
        raise KLoraError(
            "is a trained gate and no LoRA.",
            "Connect it to gate of Compose LoRAs' method MoLE, beside the LoRAs that it was trained on",
        )
    by_module: dict[str, _Tensors] = defaultdict(_Tensors)
    left: list[Left] = []
    is_lora = False
    for key in sorted(tensors.keys(), key=str):
        pair = split(key) if isinstance(key, str) else None
        if pair is None:
            left.append(_left(key, _EMBEDDING if _is_embedding(key, metadata or {}) else _UNKNOWN))
            continue
        raw, part = pair
        is_lora = is_lora or is_adapter(part)
        if part == WHOLE:
            left.append(_left(key, _WHOLE_REASON))
        elif isinstance(part, Refused) and part in by_module[raw].keys:
            by_module[raw].more.append(key)
        elif part in by_module[raw].keys:
            both = " and ".join(map(printable, (by_module[raw].keys[part], key)))
            raise KLoraError(
                f"layer {printable(raw)} has two tensors for {part}, {both}.", "Save one adapter a file"
            )
        else:
            by_module[raw].keys[part] = key
    if not is_lora:
        raise KLoraError(
            "holds no LoRA (no lora_up/lora_down, lora_A/lora_B or similar tensors): it may be a "
            "checkpoint, a VAE or an embedding.",
            "Choose a LoRA file",
        )
    about = metadata or {}
    scales = Scales.of(about)
    modules = []
    for raw, there in by_module.items():
        module, rest = _module(raw, there, tensors, scales)
        modules += [module] if module is not None else []
        left += rest
    modules, unnamed = _named(modules, about)
    left += unnamed
    if not any(module.change is not None and not module.is_text for module in modules):
        for raw, there in by_module.items():
            if (kinds := _refused(there)) and not is_text(raw):
                raise refusal(printable(raw), kinds[0])
        if idle := [item.name for item in left if item.reason == _NO_RANK and item.what is What.LAYER]:
            raise KLoraError(f"layer {idle[0]}: {_NO_RANK}, and no other layer does.", "Choose another LoRA")
        if unnamed and not all(item.what is What.TEXT for item in unnamed):
            raise KLoraError(
                f"layer {unnamed[0].name}: {_NO_ORDER}.", "Use a version of it that names its layers"
            )
    return Reading(tuple(modules), tuple(left), scales.notes())


def _left(key: object, reason: str, what: What = What.TENSOR) -> Left:
    return Left(printable(key), reason, what, (str(key),))


def _is_embedding(key: object, metadata: Mapping[str, str]) -> bool:
    return isinstance(key, str) and (metadata.get(key) == _MARK or key.startswith(_BUNDLE))


def _named(modules: list[Module], metadata: Mapping[str, str]) -> tuple[list[Module], list[Left]]:
    """The modules, those by their names that a file told by number; without those of an unknown order."""
    shapes = {m.raw: m.change.shape for m in modules if m.change is not None and names.is_numbered(m.raw)}
    found = names.numbered(shapes, metadata)
    named = [
        replace(m, raw=found.get(m.raw, m.raw)) for m in modules if m.raw in found or m.raw not in shapes
    ]
    unnamed = [
        Left(printable(m.raw), _NO_ORDER, What.TEXT if m.is_text else What.LAYER, m.all_keys)
        for m in modules
        if m.raw in shapes and m.raw not in found
    ]
    return named, unnamed


def _refused(there: _Tensors) -> list[str]:
    return [part for part in there.keys if isinstance(part, Refused)]


def _module(
    raw: str, there: _Tensors, tensors: Mapping[str, Tensor], scales: Scales
) -> tuple[Module | None, list[Left]]:
    is_text_layer = is_text(raw)
    if kinds := _refused(there):
        every = (*there.keys.values(), *there.more)
        what = " and ".join(kinds)
        reason = f"{what} of a text encoder" if is_text_layer else f"it is {what}, {UNUSABLE}. {PLAIN}"
        return None, [Left(printable(raw), reason, What.TEXT if is_text_layer else What.LAYER, every)]
    read = {part: _tensor(printable(raw), part, tensors[key]) for part, key in there.keys.items()}
    vectors = {part: Vector(there.keys[part], read.pop(part)) for part in (BIAS, LORA_BIAS) if part in read}
    if "diff" in read and read["diff"].ndim < 2:
        vectors["norm"] = Vector(there.keys["diff"], read.pop("diff"))
    left = []
    if not read.keys() - {*_NUMBERS, "diff", *_MAGNITUDES}:
        for part in (*_NUMBERS, *_MAGNITUDES):
            if read.pop(part, None) is not None:
                left.append(_left(there.keys[part], _USELESS))
    for part, vector in vectors.items():
        if vector.tensor.numel() == 0:
            raise empty(printable(raw), part)
    keys, ranks, start = tuple(there.keys[part] for part in read), read.get(RANKS), read.pop(ROWS, None)
    change = change_of(printable(raw), plain(printable(raw), read)) if read else None
    if change is not None and change.is_nothing:
        # The bias of a LoRA counts alpha / rank times.
        more = [vectors.pop(part).key for part in (LORA_BIAS,) if part in vectors]
        left.append(
            Left(printable(raw), _NO_RANK, What.TEXT if is_text_layer else What.LAYER, (*keys, *more))
        )
        keys, change = (), None
    if change is not None:
        change = divided(scales.applied(names.unwrapped(raw), change), ranks)
        change = change if start is None else from_row(change, int(start))
    bias = _bias(printable(raw), vectors, change)
    if not (change or vectors):
        return None, left
    return Module(raw, is_text_layer, keys, change, vectors.get("norm"), bias), left


def _bias(raw: str, vectors: Mapping[str, Vector], change: Change | None) -> Vector | None:
    """The addition to a module's bias; PEFT's counts alpha / rank times, as its LoRA does."""
    if LORA_BIAS not in vectors:
        return vectors.get(BIAS)
    if BIAS in vectors or change is None or change.kind.name != "lora":
        beside = "another bias" if BIAS in vectors else "no lora_up and lora_down"
        raise KLoraError(f"layer {raw} has a LoRA's bias and {beside}.", AGAIN)
    own = vectors[LORA_BIAS]
    return Vector(own.key, own.tensor.to(torch.float32) * change.scale)


def _tensor(raw: str, part: str, tensor: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise KLoraError(f"layer {raw}: {part} is no tensor.", AGAIN)
    check_values(raw, part, tensor)
    return tensor.detach()
