"""A network as its makers publish it: the modules of its blocks, their sizes, and how many blocks it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from ...table import flat

_HEAD = re.compile(r"(?P<head>\S+)\.#(?P<depth>[A-Z]|\d+)")
_TERM = re.compile(r"(\d*)([A-Z]?)")
_NUMBERED = re.compile(r"(?P<head>.+?)_(?:block)?(?P<number>\d+)_(?P<rest>.+)")
_INNER = re.compile(r"(?:^|(?<=_))\d+(?=_)")


@dataclass(frozen=True)
class Line:
    """A module as it is looked for: its flattened name, in that its block's name and number (None outside a
    block) and its own, and the [out, n] of its change; ``start`` where that is of a part of the rows."""

    name: str
    head: str
    number: int | None
    rest: str
    out: int
    n: int
    start: int | None = None


def line(path: str, shape: tuple[int, int], start: int | None = None) -> Line:
    """The line of a module by its path, dotted or flattened."""
    name = flat(path)
    found = _NUMBERED.fullmatch(name)
    if found is None:
        return Line(name, "", None, name, *shape, start)
    return Line(name, found["head"], int(found["number"]), found["rest"], *shape, start)


@dataclass(frozen=True)
class Build:
    """A published network by the base model's name; ``layout`` is the one whose table turns others' names
    into its own.

    ``text`` has its modules, a row each: ``names out n``, and before those in blocks a row of the blocks'
    name and number, ``blocks.#D``. ``(a|b)`` stands for two names, ``#`` in a name for any number, ``6H`` and
    ``3H+M`` for sizes with the numbers that their letters have in ``sizes`` (``H=3072 M=12288``), ``2H/6H``
    for one of two.
    """

    name: str
    layout: str | None
    text: str
    sizes: str

    @cached_property
    def modules(self) -> Mapping[tuple[str, str], frozenset[tuple[int, int]]]:
        """[out, n] of each module, by its block's name (empty outside a block) and its own."""
        return {(head, rest): sizes for head, _, rest, sizes in self._rows()}

    @cached_property
    def depths(self) -> Mapping[str, int]:
        """How many blocks there are of each name."""
        return {head: depth for head, depth, _, _ in self._rows() if head}

    def has(self, line: Line) -> bool | None:
        """Whether it has such a module; None for one that it knows nothing of."""
        rests = (line.rest, f"{line.rest}_0", _INNER.sub("#", line.rest))
        sizes = next((s for rest in rests if (s := self.modules.get((line.head, rest)))), None)
        if sizes is None:
            return None
        if line.number is not None and line.number >= self.depths[line.head]:
            return False
        return any(_holds(out, n, line) for out, n in sizes)

    def _rows(self) -> Iterator[tuple[str, int, str, frozenset[tuple[int, int]]]]:
        values = {letter: int(number) for letter, number in (size.split("=") for size in self.sizes.split())}
        heads, depth = [""], 0
        for row in filter(None, map(str.strip, self.text.splitlines())):
            if block := _HEAD.fullmatch(row):
                heads, depth = _spread(block["head"]), _number(block["depth"], values)
                continue
            names, out, n = row.split()
            pairs = product(out.split("/"), n.split("/"))
            sizes = frozenset((_number(one, values), _number(other, values)) for one, other in pairs)
            for head, name in product(heads, _spread(names)):
                yield flat(head), depth, flat(name), sizes


def _holds(out: int, n: int, line: Line) -> bool:
    if line.n not in (0, n):
        return False
    if line.start is None:
        return line.out == out
    # A part: of q, k and v one or all, what is left behind it, one of two that are left (grouped queries).
    parts = n, 3 * n, out // 3, out - line.start, (out - n) // 2
    return line.out in parts and line.start + line.out <= out


def _number(size: str, values: Mapping[str, int]) -> int:
    total = 0
    for term in size.split("+"):
        found = _TERM.fullmatch(term)
        assert found is not None and term, size
        total += int(found[1] or 1) * (values[found[2]] if found[2] else 1)
    return total


def _spread(names: str) -> list[str]:
    parts = [part.split("|") for part in re.split(r"[()]", names)]
    return ["".join(one) for one in product(*parts)]
