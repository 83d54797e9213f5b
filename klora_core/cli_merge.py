"""The command ``merge``: several LoRA files to one, without a host and without a model."""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from . import adapters, files, merge_file, names
from .deltas import Delta, Slot
from .errors import KLoraError
from .merging.method import ROLES, Value
from .merging.run import merge
from .methods.merges.table import METHODS, named, parameters
from .order import depth_key
from .pairing import _borders, _cut
from .report import abbreviated


@dataclass(frozen=True)
class Row:
    """One slot, and what each LoRA does to it."""

    slot: Slot
    deltas: tuple[Delta | None, ...]


def rows_of(loras: Sequence[files.LoraFile]) -> list[Row]:
    """The finest slots that N LoRAs share or change alone, in order of depth.

    Raises KLoraError for a layer of two sizes, and for a LoRA that has not even a block in common with the
    others. LoRAs that share no layer but a block may be of one base model: B-LoRAs are.
    """
    _check_base(loras)
    borders: dict[str, set[int]] = defaultdict(set)
    for lora in loras:
        for weight, marks in _borders(lora.slots).items():
            borders[weight] |= marks
    cut = [_cut(lora.slots, borders, lora.name) for lora in loras]
    slots = sorted({slot for pieces in cut for slot in pieces}, key=lambda slot: depth_key(slot.name))
    return [Row(slot, tuple(pieces.get(slot) for pieces in cut)) for slot in slots]


def _check_base(loras: Sequence[files.LoraFile]) -> None:
    sizes: dict[Slot, tuple[tuple[int, int], str]] = {}
    for lora in loras:
        others = {slot.weight.split(".")[0] for one in loras if one is not lora for slot in one.slots}
        if others.isdisjoint(slot.weight.split(".")[0] for slot in lora.slots):
            raise KLoraError(
                f"{lora.name} shares no layer with the other LoRAs, it changes "
                f"{next(iter(lora.slots)).name}: use LoRAs of one base model."
            )
        for slot, delta in lora.slots.items():
            shape, first = sizes.setdefault(slot, (delta.shape, lora.name))
            if shape != delta.shape:
                raise KLoraError(
                    f"Layer {slot.name} is {' x '.join(map(str, shape))} in {first} and "
                    f"{' x '.join(map(str, delta.shape))} in {lora.name}: they were trained on different "
                    "base models. Merge LoRAs of one base model."
                )


def read_all(paths: Sequence[Path]) -> list[files.LoraFile]:
    """N files with one spelling: each settles what the others leave open. Raises KLoraError."""
    loras = [files.read(path) for path in paths]
    # Twice, so that what a late file settles reaches the early ones too.
    for _ in range(2):
        for i in range(len(loras)):
            for j in range(i + 1, len(loras)):
                loras[i], loras[j] = files.align(loras[i], loras[j])
    return loras


def kernel_shapes(path: Path, lora: files.LoraFile) -> dict[str, tuple[int, ...]]:
    """The shapes [out, in, kernel...] of the convolutions that a file changes, by canonical weight."""
    stored: dict[str, dict[str, Sequence[int]]] = defaultdict(dict)
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (not a mapping)
            split = adapters.split(key)
            if split is not None and split[1] in ("down", "mid", "diff"):
                stored[names.module(split[0])[0]][split[1]] = file.get_slice(key).get_shape()
    by_flat = {names.flat(slot.weight): slot.weight for slot in lora.slots}
    base = names.base({module: change.shape for module, change in lora.modules.items()})
    found: dict[str, tuple[int, ...]] = {}
    for module in stored.keys() & lora.modules.keys():
        out, columns = lora.modules[module].shape
        first = stored[module].get("down") or stored[module].get("diff", ())
        # Tucker's kernel is in its core.
        kernel = (stored[module].get("mid") or first)[2:]
        if kernel and columns == first[1] * math.prod(kernel):
            weight = names.place(module, (out, columns), base).slot.weight
            found[by_flat.get(names.flat(weight), weight)] = (out, first[1], *kernel)
    return found


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add ``merge`` to the sub-commands of the command line."""
    command: argparse.ArgumentParser = commands.add_parser(
        "merge",
        help="several LoRAs to one file",
        description="Merge LoRAs of one base model to one ordinary LoRA file.",
        epilog="methods: " + "; ".join(f"{m.name}: {m.paper}" for m in METHODS),
        allow_abbrev=False,
    )
    add = command.add_argument
    add("loras", type=Path, nargs="+", metavar="LORA.safetensors", help="two or more LoRAs")
    add("--method", choices=[m.name for m in METHODS], default=METHODS[0].name, help="how (default: linear)")
    add("--weights", type=float, nargs="+", metavar="W", help="a strength for each LoRA (default: 1)")
    add("--roles", choices=ROLES, nargs="+", help="a role for each LoRA (default: subject, then styles)")
    add("--rank", type=int, help="rank of the result (default: exact, or what the method needs)")
    add("--dtype", choices=tuple(merge_file.DTYPES), default="fp16", help="of the file (default: fp16)")
    add("-o", "--output", type=Path, required=True, metavar="OUT.safetensors", help="the file to write")
    for name, owners in parameters():
        choices = sorted({choice for _, parameter in owners for choice in parameter.choices})
        kind = str if choices else type(owners[0][1].default)
        words = "; ".join(
            f"{method.name}: {parameter.help} (default: {parameter.default})" for method, parameter in owners
        )
        add(f"--{name}", type=kind, choices=choices or None, help=words.replace("%", "%%"))
    return command


def run(options: argparse.Namespace) -> int:
    """Merge, write the file, say on stdout what was done. Raises KLoraError; nothing is written then."""
    if len(options.loras) < 2:
        raise KLoraError("merge needs two LoRAs or more.")
    method = named(options.method)
    values = _given(options)
    method.values(values)
    loras = read_all(options.loras)
    weights = options.weights or [1.0] * len(loras)
    shown = [lora.name for lora in loras]
    merged = merge(rows_of(loras), method, weights, options.roles, options.rank, values=values)
    shapes = {
        weight: shape
        for path, lora in zip(options.loras, loras, strict=True)
        for weight, shape in kernel_shapes(path, lora).items()
    }
    merge_file.save(options.output, merged, shown, options.dtype, shapes)
    lines = [
        f"{options.output.name}: " + " + ".join(_term(*pair) for pair in zip(weights, shown, strict=True))
    ]
    lines += [*merged.facts(), *(line for lora in loras for line in _left_out(lora))]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _given(options: argparse.Namespace) -> dict[str, Value]:
    found = {name: getattr(options, name) for name, _ in parameters()}
    return {name: value for name, value in found.items() if value is not None}


def _term(weight: float, name: str) -> str:
    return f"{weight:g} x {name}"


def _left_out(lora: files.LoraFile) -> list[str]:
    lines = []
    if lora.text_encoder:
        lines.append(
            f"{lora.name}: its {len(lora.text_encoder)} text-encoder layers are not merged: "
            f"{abbreviated(lora.text_encoder)}"
        )
    if lora.skipped:
        examples = abbreviated([f"{item.name} ({item.reason})" for item in lora.skipped])
        lines.append(f"{lora.name}: {len(lora.skipped)} left out: {examples}")
    return lines
