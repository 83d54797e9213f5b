"""Columns and rows taught by pictures of the combination itself: pictures that somebody liked, or drew.

Each LoRA on its own prompt never shows what the two are like together; a few pictures of that do. Columns m_i
begin at the strengths of the best plain sum that is known, rows o_i at 1, and learn the model's own training
target on noised copies of the pictures. Few steps that fall to 0: more of them know the pictures by heart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..deltas import LowRank, Row
from ..errors import KLoraError
from ..names import Slot
from .items import Copy, Item, Model, copies, drawn, noised, together
from .loop import Callback, Group, Keep, Loop, Pace, State
from .weighted import Coefficients, Factors, Weighted, factored, learned, parameters

COLUMNS, ROWS, BOTH = SIDES = ("columns", "rows", "both")


@dataclass(frozen=True)
class Options:
    """The best recipe that was found on the small world.

    ``start`` are the strengths that the columns begin at, 1 where they are not given; ``copies`` noised
    copies of the pictures, of which each step takes ``batch``, ``at_once`` in one call of the model.
    """

    sides: str = BOTH
    steps: int = 200
    rate: float = 0.03
    batch: int = 8
    copies: int = 192
    start: tuple[float, ...] = ()
    seed: int = 0
    at_once: int = 1
    warm_up: int = 0
    clip: float | None = None
    falls: bool = True

    def __post_init__(self) -> None:
        if self.sides not in SIDES:
            raise KLoraError(f"unknown sides {self.sides!r}.", f"Use one of {', '.join(SIDES)}")

    @property
    def pace(self) -> Pace:
        """How fast, and how long."""
        return Pace(self.steps, self.rate, self.warm_up, self.falls, self.clip)


@dataclass(frozen=True, eq=False)
class Learned:
    """A merge that was learned: an ordinary LoRA by slot, of scale 1, on the CPU, and how it came about.

    ``weighted`` has the numbers that were learned, ``losses`` each step's.
    """

    deltas: dict[Slot, LowRank]
    weighted: Weighted
    losses: tuple[float, ...]


def taught(
    loras: Sequence[Row] | Factors,
    items: Sequence[Item],
    model: Model,
    options: Options | None = None,
    *,
    callback: Callback | None = None,
    state: State | None = None,
    keep: Keep | None = None,
    device: torch.device | str = "cpu",
) -> Learned:
    """One LoRA of the ``loras`` at what ``items`` show: pictures with the condition that asks for them.

    ``callback`` is told of each step, and stops the training by raising; ``keep`` gets the state to go on
    from then, which is given as ``state`` again. Raises KLoraError for nothing to learn.
    """
    options = Options() if options is None else options
    factors = loras if isinstance(loras, Factors) else factored(loras, device)
    start = options.start or (1.0,) * factors.count
    if len(start) != factors.count:
        raise KLoraError(
            f"got {len(start)} strengths to start at for {factors.count} LoRAs.",
            "Give one strength for each LoRA",
        )
    weighted = begun(factors, start, options.sides)
    loop = Loop([Group(parameters(weighted.columns) + parameters(weighted.rows))], options.pace)
    if state is not None:
        loop.resume(state)
    chosen = copies(items, options.copies, options.seed)

    def terms(step: int) -> Iterator[Tensor]:
        batch = [chosen[i] for i in drawn(options.batch, len(chosen), options.seed, step)]
        for group in together(items, batch, options.at_once):
            yield error(model, items, group, weighted) * (len(group) / len(batch))

    loop.run(terms, callback, keep=keep)
    return Learned(weighted.folded(), weighted, tuple(loop.losses))


def begun(factors: Factors, start: Sequence[float], sides: str) -> Weighted:
    """The columns at ``start``, the rows at 1, as parameters where ``sides`` says that they are learned."""
    columns: Coefficients = learned(
        factors, lambda slot, i: start[i], "columns", None if sides != ROWS else ()
    )
    rows: Coefficients = {} if sides == COLUMNS else learned(factors, lambda slot, i: 1.0, "rows")
    return Weighted(factors, columns, rows)


def error(model: Model, items: Sequence[Item], group: Sequence[Copy], weighted: Weighted) -> Tensor:
    """mean (v_m(x, p) - target)^2 over copies of one condition."""
    x, sigma, target = noised(model, items, group)
    answer = model.predict(x, sigma, items[group[0].item].condition, weighted)
    return (answer.float() - target.to(answer.device)).square().mean()
