"""Which published networks have all of a LoRA's modules, in the sizes that it changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ...networks import TABLES
from .blueprint import Build, Line, line
from .images import IMAGES
from .rare import RARE
from .streams import STREAMS
from .unet import UNETS, UNet
from .video import VIDEO

# Where two fit, the likelier one comes first.
BUILDS = (*STREAMS, *IMAGES, *VIDEO, *RARE)
# A build knows so many of a LoRA's modules at least: not embedders, nor what a trainer adds. And so many of a
# network's blocks are nearly all of them.
_KNOWN, _NEARLY_ALL = 0.5, 0.9
_ROWS = re.compile(r"\[(\d+):(\d+)\]$")

Shapes = tuple[tuple[str, tuple[int, int]], ...]


@dataclass(frozen=True)
class _Fit:
    """A build with nothing against it; ``known`` are the modules that it has, ``inner`` those in blocks."""

    build: Build | UNet
    known: frozenset[int]
    inner: frozenset[int]

    def is_less_than(self, other: _Fit) -> bool:
        """Whether the other has all that this one has in blocks, and more; or that, and more else."""
        return self.inner < other.inner or (self.inner == other.inner and self.known < other.known)


@lru_cache(maxsize=64)
def base_models(shapes: Shapes) -> tuple[str, ...]:
    """The names of those that may be the base model of a LoRA with these modules, the likeliest first.

    ``shapes`` holds the path of each module, with ``[start:stop]`` behind it where it is a part of the rows,
    and [out, n] of its change. A module of another size than a build's, or in a block that it has not, rules
    the build out; so does a module that it has not, where another build has that and all the rest.
    """
    own = [_own(path, shape) for path, shape in shapes]
    names = _names(_fits(UNETS, {None: own}, [1] * len(own)))
    if names:
        return names
    # The same module of all blocks is looked up once, in the last of them.
    kinds: dict[Line, list[int]] = {}
    for i, each in enumerate(own):
        kinds.setdefault(replace(each, name="", number=None), []).append(i)
    last = [max(group, key=lambda i: own[i].number or 0) for group in kinds.values()]
    lines: dict[str | None, list[Line]] = {None: [own[i] for i in last]}
    for layout in TABLES:
        lines[layout] = [_placed(*shapes[i], layout, own[i]) for i in last]
    return _names(_fits(BUILDS, lines, list(map(len, kinds.values()))))


def _own(path: str, shape: tuple[int, int]) -> Line:
    rows = _ROWS.search(path)
    return line(path, shape) if rows is None else line(path[: rows.start()], shape, int(rows[1]))


def _placed(path: str, shape: tuple[int, int], layout: str, own: Line) -> Line:
    """A module under the network's own name, where the layout's table has others for it."""
    placed = TABLES[layout].find(path, shape)
    if placed is None:
        return own
    slot = placed.slot
    return line(slot.weight, shape, None if slot.rows is None else slot.rows[0])


def _names(fits: Sequence[_Fit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fit.build.name for fit in fits))


def _fits(
    builds: Iterable[Build | UNet], lines: Mapping[str | None, Sequence[Line]], counts: Sequence[int]
) -> list[_Fit]:
    """The builds that may be it, by their lines and how many modules each line stands for."""
    found = [_fit(build, lines[build.layout], counts) for build in builds]
    fits = [fit for fit in found if fit is not None]
    fits = [fit for fit in fits if not any(fit.is_less_than(other) for other in fits)]
    return [fit for fit in fits if not _stops_short(fit, fits, lines[fit.build.layout], counts)]


def _fit(build: Build | UNet, lines: Sequence[Line], counts: Sequence[int]) -> _Fit | None:
    known = set()
    for i, each in enumerate(lines):
        has = build.has(each)
        if has is False:
            return None
        if has:
            known.add(i)
    inner = frozenset(i for i in known if lines[i].number is not None)
    # What is outside of blocks is called alike in many networks.
    if not inner or sum(counts[i] for i in known) < _KNOWN * sum(counts):
        return None
    return _Fit(build, frozenset(known), inner)


def _stops_short(fit: _Fit, fits: Iterable[_Fit], lines: Sequence[Line], counts: Sequence[int]) -> bool:
    """Whether the LoRA has nearly all of a build's blocks but the last, while it ends where another one does:
    all blocks but the last are nobody's choice."""
    for i in fit.inner:
        head, number = lines[i].head, lines[i].number or 0
        last = fit.build.depths.get(head, 0) - 1
        others = (other.build.depths.get(head) for other in fits)
        if _NEARLY_ALL * last <= min(number, counts[i]) and number < last and number + 1 in others:
            return True
    return False
