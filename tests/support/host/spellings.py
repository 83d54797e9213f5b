"""The spellings of ``spellings/``: a network's modules by the names of one trainer, and where each belongs.

A file has lines ``network`` (of networks.py), ``prefixes`` (``-`` is none), ``ends`` (down, up), perhaps
``leaves`` (a pattern of the network's layers that this trainer has no name for), then one line a module: its
name, the host's, ``[start:stop]`` for rows of it, ``~`` where the halves of its rows change places; ``#``
stands for each of the numbers in the third column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "spellings"
_PLACE = re.compile(r"(?P<weight>[^\[~]+)(?:\[(?P<start>\d+):(?P<stop>\d+)\])?(?P<swap>~)?")
_UNKNOWN = r"(?!)"


@dataclass(frozen=True)
class Target:
    """A weight of the host, the rows [start, stop) of it or None, and whether their halves are swapped."""

    weight: str
    rows: tuple[int, int] | None
    swapped: bool


@dataclass(frozen=True)
class Spelling:
    name: str
    network: str
    prefixes: tuple[str, ...]
    ends: tuple[str, str]
    leaves: str
    modules: dict[str, Target]

    def lora(self, prefix: str, shapes: dict[str, tuple[int, int]]) -> tuple[dict[str, Tensor], dict]:
        """A rank-1 LoRA of all modules; and by (weight, rows) the change that each has to make."""
        generator = torch.Generator().manual_seed(3)
        tensors, changes = {}, {}
        for theirs, target in self.modules.items():
            out, inputs = shapes[target.weight]
            out = out if target.rows is None else target.rows[1] - target.rows[0]
            down, up = (torch.randn(size, generator=generator) for size in ((1, inputs), (out, 1)))
            raw = prefix + (theirs.replace(".", "_") if prefix.endswith("_") else theirs)
            joint = "_" if self.ends[0].startswith("lora.") else "."
            tensors[f"{raw}{joint}{self.ends[0]}"], tensors[f"{raw}{joint}{self.ends[1]}"] = down, up
            changes[target.weight, target.rows] = (up.roll(out // 2, 0) if target.swapped else up), down
        return tensors, changes


def read(path: Path) -> Spelling:
    head: dict[str, str] = {"leaves": _UNKNOWN}
    modules: dict[str, Target] = {}
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    blank = lines.index("")
    for line in lines[:blank]:
        key, _, value = line.partition(" ")
        head[key] = value
    for line in lines[blank + 1 :]:
        theirs, ours, *numbers = line.split()
        for number in numbers[0].split(",") if numbers else ("",):
            found = _PLACE.fullmatch(ours.replace("#", number))
            assert found is not None, line
            rows = None if found["start"] is None else (int(found["start"]), int(found["stop"]))
            modules[theirs.replace("#", number)] = Target(found["weight"], rows, found["swap"] is not None)
    prefixes = tuple("" if prefix == "-" else prefix for prefix in head["prefixes"].split())
    down, up = head["ends"].split()
    return Spelling(path.stem, head["network"], prefixes, (down, up), head["leaves"], modules)


SPELLINGS = tuple(read(path) for path in sorted(FOLDER.glob("*.txt")))
