"""A network's other names as a table: two columns of text, theirs and ComfyUI's, found in any flattening."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .slots import Slot

# Where the rows of a part start in the fused weight, in inputs and in outputs of the change. Thirds and
# halves are of one size; q, k and v of grouped queries are not: q has as many rows as the layer has inputs.
_STARTS: dict[str, tuple[int, int]] = {
    **{"1/3": (0, 0), "2/3": (0, 1), "3/3": (0, 2), "1/2": (0, 0), "2/2": (0, 1)},
    **{"q": (0, 0), "k": (1, 0), "v": (1, 1)},
    **{"qkv": (0, 0), "mlp": (3, 0)},
}
_OURS = re.compile(r"(?P<weight>[\w.-]+)(?:\[(?P<part>[\w/]+)\])?(?P<swap>~pair|~)?")
_NUMBER = re.compile(r"(\d+)_(.+)")


@dataclass(frozen=True)
class Placed:
    """Where a module's change belongs; ``swap_halves`` where the two halves of its rows change places."""

    slot: Slot
    swap_halves: bool = False


@dataclass(frozen=True)
class _Meaning:
    weight: str
    part: str | None
    swap: str | None

    def placed(self, number: str, shape: tuple[int, int]) -> Placed:
        out, inputs = shape
        rows = None
        if self.part is not None:
            by_inputs, by_outputs = _STARTS[self.part]
            rows = (by_inputs * inputs + by_outputs * out, out)
        # Of a modulation with one form in most blocks, the one that only shifts and scales is swapped.
        swap = self.swap == "~" or (self.swap == "~pair" and out == 2 * inputs)
        return Placed(Slot(self.weight.replace("#", number), rows), swap)


@dataclass(frozen=True)
class Table:
    """Names of one network's modules, flattened, and what they mean: the blocks' by what stands before and
    behind the number of the block."""

    top: Mapping[str, _Meaning]
    blocks: Mapping[str, Mapping[str, _Meaning]]

    def find(self, path: str, shape: tuple[int, int] = (1, 1)) -> Placed | None:
        """Where the module ``path`` belongs, dotted or flattened, for a change of ``shape`` [out, inputs]."""
        name = flat(path)
        if (meaning := self.top.get(name)) is not None:
            return meaning.placed("", shape)
        for before, rest in self.blocks.items():
            if name.startswith(before) and (number := _NUMBER.fullmatch(name, len(before))):
                meaning = rest.get(number[2])
                if meaning is not None:
                    return meaning.placed(number[1], shape)
        return None


def table(*texts: str) -> Table:
    """The table of rows ``theirs ours``, of modules outside the blocks and, below a line
    ``theirs.# = ours.#``, of modules in them.

    ``ours[part]`` is a part of fused rows: ``1/3`` to ``3/3``, ``1/2`` and ``2/2`` of equal ones; ``q``,
    ``k``, ``v`` where queries are grouped; ``qkv`` and ``mlp`` of FLUX's single blocks. Behind it ``~`` says
    that two halves of rows change places, ``~pair`` that they do where they are all that the layer has.
    Raises ValueError for a line of another form, and for a module with two meanings.
    """
    top: dict[str, _Meaning] = {}
    blocks: dict[str, dict[str, _Meaning]] = {}
    for text in texts:
        rows, block = top, ""
        for line in text.strip().splitlines():
            if " = " in line:
                theirs, block = line.split(" = ")
                rows = blocks.setdefault(flat(theirs.removesuffix("#")), {})
                continue
            theirs, ours = line.split()
            column = _OURS.fullmatch(ours)
            if column is None or (column["part"] or "qkv") not in _STARTS:
                raise ValueError(f"no row of a table of names: {line}")
            weight = f"{block}.{column['weight']}" if block else column["weight"]
            meaning = _Meaning(weight, column["part"], column["swap"])
            if rows.setdefault(flat(theirs), meaning) != meaning:
                raise ValueError(f"two rows of a table of names for one module: {line}")
    return Table(top, blocks)


def flat(path: str) -> str:
    """The spelling that all dotted and flattened forms of one path have in common."""
    return path.replace(".", "_")
