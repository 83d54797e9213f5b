"""A merged LoRA as an ordinary LoRA file: kohya's names, fused weights in one piece, alpha = rank.

What is written is read back, by the reader that reads every LoRA, before it takes its place.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from ..deltas import LowRank
from ..errors import KLoraError, printable
from ..files import from_tensors, trigger_words, utf8_path
from ..names import Slot, base_texts, flat, is_open
from ..outputs import replacing, unwritable
from .low_rank import stacked
from .merge import Merged

# Stability's key for it.
TRIGGER = "modelspec.trigger_phrase"
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

Shapes = Mapping[str, Sequence[int]]


def kohya(weight: str) -> str:
    """A module by kohya's name, which ComfyUI knows of every network."""
    return "lora_unet_" + flat(weight)


def diffusers(weight: str) -> str:
    """A module by its name in diffusers, which ComfyUI knows of FLUX and of those whose own it is."""
    return f"transformer.{weight}"


def state_dict(
    deltas: Mapping[Slot, LowRank],
    dtype: torch.dtype = torch.float32,
    shapes: Shapes | None = None,
    spelled: Callable[[str], str] = kohya,
) -> dict[str, Tensor]:
    """The tensors of a LoRA by kohya key: ``lora_unet_<weight>`` and ``.lora_up.weight``, down, ``.alpha``.

    ``spelled`` is another name for the module of a weight.

    ``shapes`` maps weights to their whole shape in the model, where it is known: [out, in, kernel...]
    restores a convolution's kernel (else it stays flat, which ComfyUI loads too), and ``out`` is the height
    of a fused weight of which the slots change only a part. Pieces of one weight are joined exactly.

    Raises KLoraError for pieces that overlap, a fused weight of unknown height, and values that do not fit
    ``dtype``, naming the layer.
    """
    shapes = shapes or {}
    pieces: dict[str, dict[tuple[int, int] | None, LowRank]] = defaultdict(dict)
    for slot, change in deltas.items():
        pieces[slot.weight][slot.rows] = change
    tensors: dict[str, Tensor] = {}
    for weight, parts in pieces.items():
        whole = _joined(weight, parts, shapes.get(weight))
        up, down = _stored(weight, whole, dtype)
        shape = tuple(shapes.get(weight, ()))
        if len(shape) > 2:
            if (up.shape[0], down.shape[1]) != (shape[0], math.prod(shape[1:])):
                raise KLoraError(
                    f"layer {weight} is {up.shape[0]} x {down.shape[1]} in the LoRA and "
                    f"{' x '.join(map(str, shape))} in the model.",
                    "Use LoRAs of this base model",
                )
            up, down = up.view(*up.shape, *(1 for _ in shape[2:])), down.view(-1, *shape[1:])
        module = spelled(weight)
        if f"{module}.alpha" in tensors:
            raise KLoraError(
                f"two layers would be saved as {module}: {weight} is one of them.",
                "Save the LoRAs again from their trainers",
            )
        tensors[f"{module}.lora_up.weight"] = up
        tensors[f"{module}.lora_down.weight"] = down
        # Always float32: bfloat16 can't count past 256.
        tensors[f"{module}.alpha"] = torch.tensor(float(whole.rank))
    return tensors


def metadata(
    merged: Merged, sources: Sequence[str], headers: Sequence[Mapping[str, str]] = ()
) -> dict[str, str]:
    """What a safetensors header says about a merged LoRA: kohya's ``ss_`` keys, and from what and how.

    Trigger words and base model are those of ``headers``, the texts in the headers of the LoRAs, where given.
    """
    told = [text for text, weight in zip(headers, merged.weights, strict=False) if weight != 0]
    ranks = {change.rank for change in merged.deltas.values()}
    rank = str(ranks.pop()) if len(ranks) == 1 else "Dynamic"
    recipe = {
        "method": merged.method.name,
        "paper": merged.method.paper,
        "parameters": dict(merged.values),
        "loras": [
            {"name": name, "strength": weight, "role": role, **({"blocks": blocks} if blocks else {})}
            for name, weight, role, blocks in zip(
                sources, merged.weights, merged.roles, merged.blocks or [""] * len(sources), strict=True
            )
        ],
        "kept_energy": round(merged.kept_energy(), 6),
    }
    names = " + ".join(f"{weight:g} {name}" for name, weight in zip(sources, merged.weights, strict=True))
    return {
        **_kept(told),
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "ss_training_comment": f"{merged.method.label} merge: {names}",
        "klora_merge": json.dumps(recipe),
    }


def _kept(headers: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What calls the LoRAs, and what they were made for, as their headers say it; the first of two counts."""
    words = dict.fromkeys(word for text in headers for word in trigger_words(text).split(", ") if word)
    bases = {key: value for text in reversed(headers) for key, value in base_texts(text).items()}
    return {**bases, **({TRIGGER: ", ".join(words)} if words else {})}


def save(
    path: str | Path,
    merged: Merged,
    sources: Sequence[str],
    dtype: str = "fp16",
    shapes: Shapes | None = None,
    headers: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write a merged LoRA. ``sources`` names the LoRAs, ``headers`` are the texts in theirs, ``dtype`` is a
    key of ``DTYPES``.

    Raises KLoraError as :func:`state_dict` does, for a file that can't be written, and for one that would not
    be read as what was merged: then ``path`` is as it was.
    """
    path = Path(path)
    check_suffix(path)
    if dtype not in DTYPES:
        raise KLoraError(f"unknown dtype {dtype!r}.", f"Use one of {', '.join(DTYPES)}")
    wanted = {slot.weight: change.shape for slot, change in merged.deltas.items()}
    spelled = diffusers if is_open(wanted) else kohya
    tensors = state_dict(merged.deltas, DTYPES[dtype], shapes, spelled)
    header = metadata(merged, sources, headers)
    with replacing(path) as beside:
        try:
            _write(tensors, beside, header)
        except Exception as error:
            # safetensors has an error of its own for what the system says.
            raise unwritable(path, error) from error
        _read_back(beside, path.name, tensors, {spelled(weight): weight for weight in wanted})


def check_suffix(path: Path) -> None:
    """Raises KLoraError for the name of another kind of file."""
    if path.suffix.lower() != ".safetensors":
        raise KLoraError(f"can't write {path}.", "Give a file name that ends in .safetensors")


def _write(tensors: dict[str, Tensor], path: Path, header: dict[str, str]) -> None:
    try:
        save_file(tensors, path, header)
    except UnicodeEncodeError:
        # Folders may have names that safetensors can't take.
        path.write_bytes(to_bytes(tensors, header))


def _read_back(path: Path, name: str, tensors: Mapping[str, Tensor], weights: Mapping[str, str]) -> None:
    """Raises KLoraError where a file is not read as ``tensors`` that change ``weights``, by module."""
    with utf8_path(path) as plain:
        stored = load_file(plain)
    lost = [key for key in tensors if key not in stored or not torch.equal(stored[key], tensors[key])]
    if lost:
        raise KLoraError(
            f"{printable(name)}: {printable(lost[0])} was not stored as it is.", "Check the disk"
        )
    back = from_tensors(printable(name), stored)
    found = {flat(slot.weight): delta.shape for slot, delta in back.slots.items() if slot.rows is None}
    for module, weight in weights.items():
        up, down = (tensors[f"{module}.lora_{part}.weight"].flatten(1) for part in ("up", "down"))
        if found.get(flat(weight)) != (up.shape[0], down.shape[1]):
            raise KLoraError(
                f"{printable(name)}: layer {weight} would not be found in it, so nothing was written.",
                "Merge in ComfyUI, where the model tells what it is, or leave out the LoRA that changes it",
            )


def _joined(
    weight: str, parts: Mapping[tuple[int, int] | None, LowRank], shape: Sequence[int] | None
) -> LowRank:
    """The pieces of one weight as one change: each ``up`` at its own rows, zero elsewhere; downs stacked."""
    if set(parts) == {None}:
        return parts[None]
    spans = sorted(rows for rows in parts if rows is not None)
    if None in parts or any(a[0] + a[1] > b[0] for a, b in zip(spans, spans[1:], strict=False)):
        raise KLoraError(f"layer {weight} is changed twice, fused and split.", "Save the LoRAs again")
    ordered = {rows: parts[rows] for rows in spans}
    stop, columns = sum(spans[-1]), ordered[spans[0]].shape[1]
    out = shape[0] if shape else _height(weight, stop, columns)
    if stop > out:
        raise KLoraError(
            f"layer {weight} has {out} rows in the model and {stop} in the LoRA.",
            "Use LoRAs of this base model",
        )
    return stacked(ordered, out)


def _height(weight: str, stop: int, columns: int) -> int:
    """The rows of a fused weight whose model is not at hand."""
    if weight.endswith("qkv"):
        return max(stop, 3 * columns)
    if weight.startswith("single_blocks.") and weight.endswith(".linear1") and stop <= 3 * columns:
        raise KLoraError(
            f"layer {weight}: the LoRAs change only a part of it, and its size is not known without the "
            "model.",
            "Merge in ComfyUI, or with a LoRA that changes its feed-forward rows too",
        )
    return stop


def _stored(weight: str, change: LowRank, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(up, down) in ``dtype``, brought to one size by a power of two, so that no product is rounded."""
    up, down = change.up.float() * change.scale, change.down.float()
    sizes = [max(abs(float(extreme)) for extreme in factor.aminmax()) for factor in (up, down)]
    if min(sizes) > 0 and all(map(math.isfinite, sizes)):
        shift = round(math.log2(sizes[1] / sizes[0]) / 2)
        up, down = torch.ldexp(up, torch.tensor(shift)), torch.ldexp(down, torch.tensor(-shift))
    # A copy, as up is one: a file can't hold tensors that share memory, and merged factors do.
    stored = up.to(dtype).contiguous(), down.to(dtype, copy=True).contiguous()
    if not all(torch.isfinite(extreme) for factor in stored for extreme in factor.aminmax()):
        name = next((key for key, value in DTYPES.items() if value == dtype), str(dtype))
        raise KLoraError(
            f"layer {weight} is too large for {name}.", "Save in bf16 or fp32, or lower the strengths"
        )
    return stored
