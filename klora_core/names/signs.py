"""Signs in the names and shapes of a LoRA's layers, and how they are looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .table import flat

Shapes = Mapping[str, tuple[int, int]]
"""[out, n] of each change in a file, by the path of its module, dotted or flattened."""


@dataclass(frozen=True)
class Sign:
    """A sign of ``layout``: patterns that some line of :func:`lines_of` fits (``has``), and none (``lacks``).
    They are looked for anywhere in a line; a blank ends a name, and a width."""

    layout: str | None
    has: str = ""
    lacks: str = ""

    def fits(self, lines: Sequence[str]) -> bool:
        """Whether a file of these lines has the sign."""
        return _any(self.has, lines) and not (self.lacks and _any(self.lacks, lines))


class Own(Sign):
    """What this layout alone has: tells the layout."""


class Shared(Sign):
    """What several layouts have, in the widths of this one: tells the layout where no ``Own`` sign does."""


def lines_of(shapes: Shapes) -> list[str]:
    """A line a module: its flattened name, its shape, its path. ``blocks_0_q 8x4 blocks.0.q``."""
    paths = ((path.partition("[")[0], shape) for path, shape in shapes.items())
    return [f"{flat(path)} {out}x{n} {path}" for path, (out, n) in paths]


def only(names: str, widths: str) -> tuple[str, str]:
    """What a sign has and lacks: modules of these ``names``, all of them with one of ``widths`` inputs."""
    return rf"{names} \d+x({widths}) ", rf"{names} \d+x(?!({widths}) )"


def _any(pattern: str, lines: Sequence[str]) -> bool:
    return any(map(re.compile(pattern).search, lines))
