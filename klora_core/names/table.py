"""A network's other names as a table: two columns of text, theirs and ComfyUI's, found in any flattening."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .slots import Slot

# Where the rows of a part start in the fused weight, in inputs and in outputs of the change. Thirds and
# halves are of one size; q, k and v of grouped queries are not: q has as many rows as the layer has inputs.
_STARTS: dict[str, tuple[int, int]] = {
    **{"1/3": (0, 0), "2/3": (0, 1), "3/3": (0, 2), "1/2": (0, 0), "2/2": (0, 1)},
    **{"q": (0, 0), "k": (1, 0), "v": (1, 1)},
    **{"qkv": (0, 0), "mlp": (3, 0)},
}
# All rows of the fused weight, in inputs and in outputs of the change. Of those with a feed-forward in them
# only that part tells.
_HEIGHTS: dict[str, tuple[int, int]] = {
    **{"1/3": (0, 3), "2/3": (0, 3), "3/3": (0, 3), "1/2": (0, 2), "2/2": (0, 2)},
    **{"k": (1, 2), "v": (1, 2), "mlp": (3, 1)},
}
# By inputs, the rows of q, k and v together where q alone is changed: Lumina 2 has a third as many keys as
# queries, Z-Image as many.
_GROUPED = {2304: 3840}
_OURS = re.compile(r"(?P<weight>[\w.-]+)(?:\[(?P<part>[\w/]+)\])?(?P<swap>~pair|~)?")
_NUMBER = re.compile(r"(\d+)_(.+)")


@dataclass(frozen=True)
class Placed:
    """Where a module's change belongs; ``swap_halves`` where the two halves of its rows change places.

    ``height`` is how many rows the fused weight has of which the slot is a part, None where that is not told.
    """

    slot: Slot
    swap_halves: bool = False
    height: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class _Meaning:
    weight: str
    part: str | None
    swap: str | None
    has_mlp: bool = False

    def placed(self, number: str, shape: tuple[int, int]) -> Placed:
        out, inputs = shape
        rows = height = None
        if self.part is not None:
            by_inputs, by_outputs = _STARTS[self.part]
            rows = (by_inputs * inputs + by_outputs * out, out)
            if not self.has_mlp or self.part == "mlp":
                height = _height(self.part, out, inputs)
        # Of a modulation with one form in most blocks, the one that only shifts and scales is swapped.
        swap = self.swap == "~" or (self.swap == "~pair" and out == 2 * inputs)
        return Placed(Slot(self.weight.replace("#", number), rows), swap, height)


def _height(part: str, out: int, inputs: int) -> int | None:
    if part == "q":
        return _GROUPED.get(inputs, 3 * inputs)
    if part not in _HEIGHTS:
        return None
    by_inputs, by_outputs = _HEIGHTS[part]
    return by_inputs * inputs + by_outputs * out


@dataclass(frozen=True)
class Table:
    """Names of one network's modules, flattened, and what they mean: the blocks' by what stands before and
    behind the number of the block."""

    top: Mapping[str, _Meaning]
    blocks: Mapping[str, Mapping[str, _Meaning]]

    @property
    def others(self) -> list[str]:
        """What stands before the number of a block in others' names, but not in the network's own."""
        own = {
            flat(meaning.weight.partition("#")[0])
            for rest in self.blocks.values()
            for meaning in rest.values()
        }
        return [before for before in self.blocks if before not in own]

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
    every = [meaning for rows in blocks.values() for meaning in rows.values()]
    longer = {meaning.weight for meaning in every if meaning.part == "mlp"}
    for rows in blocks.values():
        rows.update({name: replace(m, has_mlp=True) for name, m in rows.items() if m.weight in longer})
    return Table(top, blocks)


def flat(path: str) -> str:
    """The spelling that all dotted and flattened forms of one path have in common."""
    return path.replace(".", "_")
