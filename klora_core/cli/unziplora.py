"""The command ``unziplora``: what UnZipLoRA's own code saved, as two LoRAs that can be added."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import files, outputs
from ..errors import KLoraError, naming, printable
from ..train.fusable import HALVES, with_mergers
from .terminal import say

# What diffusers calls a LoRA in a folder of its own; the first that is there is read.
_NAMES = ("pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin")
_MARK = "klora_unziplora"


@dataclass(frozen=True)
class _Half:
    """One of the two LoRAs of a training: where it is read, and where it is written."""

    half: str
    lora: Path
    mergers: Path
    written: Path


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add ``unziplora`` to the sub-commands of the command line."""
    command: argparse.ArgumentParser = commands.add_parser(
        "unziplora",
        help="what UnZipLoRA's own code saved, as two LoRAs that can be added",
        description="UnZipLoRA's code saves NAME_content/ and NAME_style/, and in NAME_merger_content.pth "
        "and NAME_merger_style.pth how strongly each output counts. Works the latter into the former: "
        "NAME_content.safetensors and NAME_style.safetensors, which any program can load.",
        allow_abbrev=False,
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="the folder that has these files")
    command.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="the folder to write to (default: DIR)"
    )
    return command


def run(options: argparse.Namespace) -> int:
    """Write both halves of each training in the folder, say on stdout which. Raises KLoraError; no half is
    written then."""
    halves = list(_halves(options.folder, options.output or options.folder))
    outputs.check(
        [half.written for half in halves], [path for half in halves for path in (half.lora, half.mergers)]
    )
    there = next((half.written for half in halves if half.written.exists()), None)
    if there is not None:
        raise KLoraError(f"{there} is there already.", "Give another folder with -o")
    made = [_folded(half) for half in halves]
    for half, (tensors, header) in zip(halves, made, strict=True):
        with outputs.replacing(half.written) as beside:
            try:
                save_file(tensors, beside, header)
            except Exception as error:
                raise outputs.unwritable(half.written, error) from error
    say(
        "\n".join(
            f"{half.written.name}: {half.lora.parent.name} with {half.mergers.name} in it" for half in halves
        )
    )
    return 0


def _halves(folder: Path, out: Path) -> Iterator[_Half]:
    """Both halves of every training of which a merger file is there. Raises KLoraError."""
    if not folder.is_dir():
        raise KLoraError(f"{folder} is none.", "Give a folder")
    ends = {half: f"_merger_{half}.pth" for half in HALVES}
    found = sorted({p.name.removesuffix(end) for end in ends.values() for p in folder.glob(f"*{end}")})
    if not found:
        raise KLoraError(
            f"{folder} has no NAME_merger_content.pth.", "Give the folder that UnZipLoRA was trained into"
        )
    for name in found:
        for half, end in ends.items():
            mergers = folder / f"{name}{end}"
            loras = [folder / f"{name}_{half}" / file for file in _NAMES]
            lora = next((path for path in loras if path.is_file()), loras[0])
            missing = next((path for path in (mergers, lora) if not path.is_file()), None)
            if missing is not None:
                raise KLoraError(f"it belongs to {name}, and is not there.", f"Put {missing} in its place")
            yield _Half(half, lora, mergers, out / f"{name}_{half}.safetensors")


def _folded(half: _Half) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a half with its mergers, and its header."""
    lora = files.read(half.lora)
    if files.is_torch_file(half.lora):
        tensors = files.read_torch(half.lora).tensors
    else:
        with files.utf8_path(half.lora) as plain:
            tensors = load_file(plain)
    with naming(printable(half.mergers.name)):
        stored = files.read_torch(half.mergers)
        if stored.left:
            raise KLoraError(
                f"{stored.left[0].name} is no tensor.", f"Give a _merger_{half.half}.pth of UnZipLoRA"
            )
        written = with_mergers(lora, tensors, stored.tensors, half.half)
    about = {"half": half.half, "mergers": half.mergers.name}
    return written, {**lora.metadata, "format": "pt", _MARK: json.dumps(about)}
