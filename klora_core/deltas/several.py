"""Several changes of one slot at once: low-rank ones side by side as one, put together when shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

import torch
from torch import Tensor

from .matrices import LowRank
from .remapped import Delta


class Made(LowRank):
    """A :class:`LowRank` whose factors are made whenever they are asked for, and not kept.

    A slot may have many such candidates, and none of them takes memory before it is shown, nor after it.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        rank: int,
        make: Callable[[], tuple[Tensor, Tensor]],
        scale: float = 1.0,
    ) -> None:
        for name, value in (("_shape", shape), ("_rank", rank), ("_make", make), ("scale", scale)):
            object.__setattr__(self, name, value)

    _shape: tuple[int, int]
    _rank: int
    _make: Callable[[], tuple[Tensor, Tensor]]

    @property
    def up(self) -> Tensor:  # type: ignore[override]
        return self._make()[0]

    @property
    def down(self) -> Tensor:  # type: ignore[override]
        return self._make()[1]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self._make()

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def rank(self) -> int:
        return self._rank

    def with_tensors(self, tensors: Sequence[Tensor]) -> LowRank:  # type: ignore[override]
        """A plain one, of other tensors."""
        up, down = tensors
        return LowRank(up, down)

    def scaled(self, strength: float) -> Made:
        return Made(self._shape, self._rank, self._make, self.scale * strength)

    def rows(self, start: int, length: int) -> Made:
        return self._with_up((length, self._shape[1]), lambda up: up.narrow(0, start, length))

    def reordered(self, order: Tensor) -> Made:
        return self._with_up(self._shape, lambda up: up[order])

    def _with_up(self, shape: tuple[int, int], change: Callable[[Tensor], Tensor]) -> Made:
        def make() -> tuple[Tensor, Tensor]:
            up, down = self._make()
            return change(up), down

        return Made(shape, self._rank, make, self.scale)

    def outline(self) -> LowRank:  # type: ignore[override]
        """Factors of its size, without memory."""
        (out, n), rank = self._shape, self._rank
        return LowRank(torch.empty(out, rank, device="meta"), torch.empty(rank, n, device="meta"))


def stacked(parts: Sequence[LowRank]) -> LowRank:
    """sum_i dW_i exactly: up = [B_1 .. B_N] [out, sum r_i], down = [A_1; ..; A_N]; one part is itself.

    The scales go into ``up``: ``down`` stays the LoRAs' own.
    """
    if len(parts) == 1:
        return parts[0]

    def make() -> tuple[Tensor, Tensor]:
        factors = [part.tensors for part in parts]
        ups = [_weighed(up, part.scale) for part, (up, _) in zip(parts, factors, strict=True)]
        return _cat(ups, 1), _cat([down for _, down in factors], 0)

    return Made(parts[0].shape, sum(part.rank for part in parts), make)


def _weighed(up: Tensor, scale: float) -> Tensor:
    return up if scale == 1 else up.to(torch.promote_types(torch.float32, up.dtype)) * scale


def _cat(tensors: Sequence[Tensor], dim: int) -> Tensor:
    # 16 bits of one kind and of another have no type in common but this.
    same = len({tensor.dtype for tensor in tensors}) == 1
    return torch.cat([tensor if same else tensor.float() for tensor in tensors], dim)


@dataclass(frozen=True, eq=False)
class Several:
    """Changes of one slot that work at once."""

    parts: tuple[Delta, ...]


Candidate = Union[Delta, Several, None]


def lanes(candidates: Sequence[Candidate]) -> list[tuple[Delta | None, ...]]:
    """The same as candidates of one change each, in places beside each other: at each moment all lanes show
    the same candidate.

    Low-rank changes share the first lane, as one; of others each has a lane of its own.
    """
    if not any(isinstance(candidate, Several) for candidate in candidates):
        return [tuple(c for c in candidates if not isinstance(c, Several))]
    low: list[LowRank | None] = []
    others: list[list[Delta]] = []
    for candidate in candidates:
        parts = _parts(candidate)
        factors = [part for part in parts if isinstance(part, LowRank)]
        low.append(stacked(factors) if factors else None)
        others.append([part for part in parts if not isinstance(part, LowRank)])
    beside = [
        tuple(own[lane] if lane < len(own) else None for own in others)
        for lane in range(max(map(len, others)))
    ]
    return [*([tuple(low)] if any(one is not None for one in low) else []), *beside]


def _parts(candidate: Candidate) -> tuple[Delta, ...]:
    if candidate is None:
        return ()
    return candidate.parts if isinstance(candidate, Several) else (candidate,)
