"""The command ``merge``: several LoRA files to one, without a host and without a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import files, names, outputs
from ..deltas import Row, check_ungated, rows
from ..errors import KLoraError, printable
from ..files import MERGE_TEXT_REASON
from ..loras import ROLES
from ..merges import (
    COLUMN_METHODS,
    DTYPES,
    METHODS,
    ColumnMethod,
    MergeMethod,
    Value,
    check_suffix,
    merge,
    named,
    parameters,
    save,
)
from ..names import Slot
from ..report import abbreviated, left_out
from .by_hand import BLOCKS_HELP, at_work
from .terminal import progress, say

_EVERY: tuple[MergeMethod | ColumnMethod, ...] = (*METHODS, *COLUMN_METHODS)


def rows_of(loras: Sequence[files.LoraFile], blocks: Sequence[str] | None = None) -> tuple[Row, ...]:
    """The finest slots that N LoRAs share or change alone, in order of depth; what ``blocks`` leave of them.

    Raises KLoraError for a layer of two sizes, and for a LoRA that has not even a block in common with the
    others. LoRAs that share no layer but a block may be of one base model: B-LoRAs are.
    """
    for lora in loras:
        others = {_block(slot) for one in loras if one is not lora for slot in one.slots}
        if others.isdisjoint(map(_block, lora.slots)):
            raise KLoraError(
                f"{lora.name} shares no layer with the other LoRAs, it changes "
                f"{next(iter(lora.slots)).name}.",
                "Use LoRAs of one base model",
            )
    table = rows(at_work(loras, blocks), [lora.name for lora in loras])
    check_ungated(table, [lora.name for lora in loras], "merged")
    return table


def _block(slot: Slot) -> str:
    return slot.weight.split(".")[0]


def kernel_shapes(loras: Iterable[files.LoraFile]) -> dict[str, tuple[int, ...]]:
    """The shapes [out, in, kernel...] of the convolutions that files change, by canonical weight."""
    return {lora.placed[path].weight: shape for lora in loras for path, shape in lora.kernels.items()}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add ``merge`` to the sub-commands of the command line."""
    command: argparse.ArgumentParser = commands.add_parser(
        "merge",
        help="several LoRAs to one file",
        description="Merge LoRAs of one base model to one ordinary LoRA file.",
        epilog="methods: " + "; ".join(f"{m.name}: {m.paper}" for m in _EVERY),
        allow_abbrev=False,
    )
    add = command.add_argument
    add("loras", type=Path, nargs="+", metavar="LORA.safetensors", help="two or more LoRAs")
    every = [m.name for m in _EVERY]
    add("--method", choices=every, default=METHODS[0].name, help="how (default: linear)")
    add("--weights", type=float, nargs="+", metavar="W", help="a strength for each LoRA (default: 1)")
    add("--roles", choices=ROLES, nargs="+", help="a role for each LoRA (default: subject, then styles)")
    add("--blocks", nargs="+", metavar="TEXT", help=BLOCKS_HELP)
    add("--rank", type=int, help="rank of the result (default: exact, or what the method needs)")
    add("--dtype", choices=tuple(DTYPES), default="fp16", help="of the file (default: fp16)")
    add("-o", "--output", type=Path, required=True, metavar="OUT.safetensors", help="the file to write")
    for name, owners in parameters():
        choices = sorted({choice for _, parameter in owners for choice in parameter.choices})
        kind = str if choices else type(owners[0][1].default)
        words = "; ".join(
            f"{method.name}: {parameter.help} (default: {parameter.default})" for method, parameter in owners
        )
        add(f"--{name}", type=kind, choices=choices or None, help=words.replace("%", "%%"))
    for learnt in COLUMN_METHODS:
        add(f"--{learnt.option}", type=Path, metavar="FILE", help=f"{learnt.name}: {learnt.help}")
    return command


def run(options: argparse.Namespace) -> int:
    """Merge, write the file, say on stdout what was done. Raises KLoraError; nothing is written then."""
    if len(options.loras) < 2:
        raise KLoraError("merge needs two LoRAs or more.", "Give another LoRA")
    check_suffix(options.output)
    learnt, file = _learnt(options)
    outputs.check([options.output], [*options.loras, *([file] if file else [])])
    values = _given(options)
    # Before anything is read.
    method = named(options.method) if learnt is None else learnt.with_columns(())
    method.values(values)
    loras = files.read_all(options.loras)
    notes: tuple[str, ...] = ()
    if learnt is not None and file is not None:
        found = learnt.read(file, loras)
        method, notes = learnt.with_columns(found.columns), found.notes
    weights = options.weights or [1.0] * len(loras)
    shown = [lora.name for lora in loras]
    table = rows_of(loras, options.blocks)
    _check_names(loras)
    with progress("merging") as step:
        merged = merge(
            table,
            method,
            weights,
            options.roles,
            options.rank,
            values=values,
            blocks=options.blocks,
            progress=step,
        )
    shapes = {**_heights(loras), **kernel_shapes(loras)}
    save(options.output, merged, shown, options.dtype, shapes, [lora.metadata for lora in loras])
    lines = [
        f"{printable(options.output.name)}: "
        + " + ".join(_term(*pair) for pair in zip(weights, shown, strict=True))
    ]
    lines += [
        *merged.facts(),
        *(f"{printable(file.name)}: {note}." for note in notes if file),
        *(
            note.text
            for lora in loras
            for note in left_out(lora.name, lora.left, "NOT merged", MERGE_TEXT_REASON)
        ),
    ]
    say("\n".join(lines))
    return 0


def _learnt(options: argparse.Namespace) -> tuple[ColumnMethod | None, Path | None]:
    """The method whose coefficients were learnt, and their file, where it is one. Raises KLoraError for one
    of the two without the other."""
    for method in COLUMN_METHODS:
        file = getattr(options, method.option)
        if options.method == method.name:
            if file is None:
                raise KLoraError(f"{method.help}.", f"Give --{method.option} FILE")
            return method, file
        if file is not None:
            raise KLoraError(
                f"--{method.option} belongs to --method {method.name}.",
                f"Give --method {method.name}, or leave out --{method.option}",
            )
    return None, None


def _check_names(loras: Sequence[files.LoraFile]) -> None:
    """Raises KLoraError for layers that no loader would look for in a merged file, by name."""
    shapes = {slot.weight: delta.shape for lora in loras for slot, delta in lora.slots.items()}
    strange = set(names.strangers(shapes))
    for lora in loras:
        found = dict.fromkeys(slot.weight for slot in lora.slots if slot.weight in strange)
        if found:
            raise KLoraError(
                f"{lora.name}: no network that is known here has {abbreviated([*found])}, so no loader would "
                "find it in a merged file.",
                "Choose another LoRA, or save it under the names of ComfyUI or diffusers",
            )


def _heights(loras: Sequence[files.LoraFile]) -> dict[str, tuple[int]]:
    """The rows of fused weights that are changed in part, the surest number of each."""
    found: dict[str, tuple[int]] = {}
    for lora in loras:
        for weight, height in lora.heights.items():
            found[weight] = min((height,), found.get(weight, (height,)))
    return found


def _given(options: argparse.Namespace) -> dict[str, Value]:
    found = {name: getattr(options, name) for name, _ in parameters()}
    return {name: value for name, value in found.items() if value is not None}


def _term(weight: float, name: str) -> str:
    return f"{weight:g} x {name}"
