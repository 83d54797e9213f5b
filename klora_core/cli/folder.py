"""``report --folder``: every pair of the LoRAs in a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files, outputs, report
from ..errors import KLoraError, printable
from ..methods.klora import KLora, make_schedule
from ..methods.survey import Settings, dumps, survey, text
from ..progress import Columns
from .saving import plot, write
from .terminal import progress, say

# What goes with a folder beside the settings of K-LoRA.
_GOES = {"command", "run", "folder", "steps", "json", "plot", "plan", "pair", "loras", "method"}
_SETTINGS = {"schedule", "alpha", "beta", "balance", "gamma", "layers", "score"}


def run(options: argparse.Namespace, over: Columns) -> int:
    """Say on stdout what all pairs do, and write the files that were asked for. Raises KLoraError."""
    given = vars(options)
    settings = _settings(given)
    found = _read(options.folder)
    outputs.check([path for path in (options.json, options.plot) if path], found.paths)
    with progress("pairs") as callback:
        all_pairs = survey(found.loras, over, settings, found.refused, found.notes, callback)
    if options.json:
        write(options.json, dumps(all_pairs))
    if options.plot:
        plot(options.plot, lambda picture: picture.draw_pairs(all_pairs))
    say("\n".join([*found.heading, text(all_pairs)]))
    return 0


def _settings(given: dict[str, Any]) -> Settings:
    beside = ["the files beside it"] if given.get("pair") or given.get("loras") else []
    beside += ["--plan"] if given["plan"] is not None else []
    beside += ["--method"] if given.get("method", KLora.name) != KLora.name else []
    beside += [f"--{name}" for name in given if name not in _GOES | _SETTINGS]
    if beside:
        raise KLoraError(
            f"--folder takes all LoRAs of the folder, by {KLora.name}.", f"Leave out {', '.join(beside)}"
        )
    curve = make_schedule(
        given.get("schedule", "s"), given.get("alpha"), given.get("beta"), given.get("balance", 0.0)
    )
    return Settings(curve, **{name: given[name] for name in ("gamma", "layers", "score") if name in given})


@dataclass(frozen=True)
class _Folder:
    """LoRAs that could be opened, lines on those that could not, on what is left of them, and on the rest."""

    paths: Sequence[Path]
    loras: Sequence[files.LoraFile]
    refused: Sequence[str]
    notes: Sequence[str]
    heading: Sequence[str]


def _read(folder: Path) -> _Folder:
    paths, heading = _listed(folder)
    loras, refused, notes = [], [], []
    for path in paths:
        try:
            lora = files.open_lora(path)
        except KLoraError as error:
            refused.append(error.in_list)
            continue
        loras.append(lora)
        notes += [f"{lora.name}: {note}" for note in lora.notes]
        notes += [note.text for note in report.left_out(lora.name, lora.left)]
    return _Folder(paths, loras, refused, notes, heading)


def _listed(folder: Path) -> tuple[list[Path], list[str]]:
    """The folder's files that LoRAs are kept in, and lines on what else is there."""
    name = printable(folder)
    if not folder.exists():
        raise KLoraError(f"there is no such folder ({name}).", "Check the path")
    if not folder.is_dir():
        raise KLoraError(
            f"{name} is no folder.", "Give a folder with LoRA files in it, or two files without --folder"
        )
    try:
        there = sorted(folder.iterdir(), key=lambda path: (path.name.casefold(), path.name))
    except OSError as error:
        raise KLoraError(f"{name} can't be read ({error.strerror or error}).", "Check the folder") from error
    inner = [path for path in there if path.is_dir()]
    paths = [path for path in there if path.suffix.lower() in files.SUFFIXES and path not in inner]
    others = [path for path in there if path not in inner and path not in paths]
    suffixes = ", ".join(sorted(files.SUFFIXES))
    if not paths:
        raise KLoraError(f"{name} holds no LoRA file ({suffixes}).", "Give a folder with two or more in it")
    heading = []
    if inner:
        heading.append(f"Not looked into, folders in it: {_names(inner)}.")
    if others:
        heading.append(f"Not read, by their names no LoRA files ({suffixes}): {_names(others)}.")
    return paths, [*heading, ""] if heading else []


def _names(paths: Sequence[Path]) -> str:
    return report.abbreviated([printable(path.name) for path in paths])
