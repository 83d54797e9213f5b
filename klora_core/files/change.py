"""The weight change of one module: its tensors by part, and the kind that they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from torch import Tensor

from ..deltas import Additive, Gated
from ..errors import KLoraError
from .keys import ALPHA
from .values import AGAIN


class Misfit(Exception):
    """Sizes that do not fit together."""


class Kind(NamedTuple):
    """A kind by its functions: the shape of its tensors, and its change in their factors."""

    name: str
    shape: Callable[[str, Mapping[str, Tensor]], tuple[int, int]]
    # None: only the layer's own weight makes it a change.
    build: Callable[[Change], Additive | Gated] | None
    # The part whose first size is the rank that alpha is divided by; the first that is there counts.
    counted: tuple[str, ...]
    label: str
    # Whether its factors may be of rank 0, which change nothing.
    ranked: bool = True


@dataclass(frozen=True, eq=False)
class Change:
    """The weight change of a module: its tensors by part, checked to fit together, not multiplied out.

    ``shape`` is [out, n] of the change, a convolution's kernel flat in n, and n 0 where only the layer knows
    it (OFT); ``alpha`` None means alpha = rank. ``dora`` is the magnitude of a DoRA, as LyCORIS means it or,
    with ``peft``, as PEFT does. ``rows`` (start, length) are those that are meant of what the parts make;
    ``shape`` and ``dora`` are of them alone.
    """

    module: str
    kind: Kind
    shape: tuple[int, int]
    parts: Mapping[str, Tensor]
    alpha: float | None
    dora: Tensor | None = None
    peft: bool = False
    rows: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """What people call the kind."""
        return "DoRA" if self.dora is not None else self.kind.label

    @property
    def needs_weight(self) -> bool:
        """Whether the change depends on the layer's own weight: see :mod:`klora_core.files.with_weights`."""
        return self.dora is not None or self.kind.build is None

    @property
    def by_rows(self) -> bool:
        """Whether it is a DoRA with a magnitude for each row, not for each input."""
        out = self.shape[0]
        dora = self.dora
        return dora is not None and dora.numel() == out and (self.peft or dora.shape[:1] == (out,))

    def cut(self, start: int, length: int) -> Change:
        """The rows ``start .. start+length`` of it, no DoRA but one by rows."""
        dora = None if self.dora is None else self.dora.flatten().narrow(0, start, length)
        first = 0 if self.rows is None else self.rows[0]
        return replace(self, shape=(length, self.shape[1]), dora=dora, rows=(first + start, length))

    @property
    def is_nothing(self) -> bool:
        """Whether its factors are of rank 0, as those are that AdaLoRA has cut down."""
        return any(tensor.numel() == 0 for tensor in self.parts.values())

    @property
    def kernel_shape(self) -> tuple[int, ...] | None:
        """[out, in, kernel...] of a convolution whose factors tell it, None of anything else."""
        first = self.parts.get("down", self.parts.get("diff"))
        if first is None:
            return None
        # Tucker's kernel is in its core.
        kernel = self.parts.get("mid", first).shape[2:]
        if not kernel or self.shape[1] != first.shape[1] * prod(kernel):
            return None
        return self.shape[0], first.shape[1], *kernel

    @property
    def scale(self) -> float:
        """alpha / rank, 1 without an alpha; what a change that is a plain matrix ignores."""
        counted = next((self.parts[p] for p in self.kind.counted if p in self.parts), None)
        return 1.0 if self.alpha is None or counted is None else self.alpha / counted.shape[0]

    def delta(self) -> Additive | Gated:
        """The change in the file's own factors, without the magnitude of a DoRA.

        Raises KLoraError for a kind that needs the weight.
        """
        if self.kind.build is None:
            raise unbound(self.module, self.label)
        made = self.kind.build(self)
        return made if self.rows is None else made.rows(*self.rows)


def need(module: str, parts: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    """The parts of these names. Raises KLoraError, naming the module and what is missing."""
    missing = [name for name in names if name not in parts]
    if missing:
        there = ", ".join(name for name in parts if name != ALPHA)
        raise KLoraError(f"layer {module} has {there} but no {' and no '.join(missing)}.", AGAIN)
    return [parts[name] for name in names]


def unbound(module: str, kind: str) -> KLoraError:
    """The error for a change that needs the layer's weight where there is none."""
    return KLoraError(
        f"layer {module} is {kind}, which depends on the checkpoint's own weights: files alone can't tell "
        "what it changes.",
        "Use the ComfyUI nodes, or fuse() with the model",
    )
