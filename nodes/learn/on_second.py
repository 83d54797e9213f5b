"""A second model with LoRAs' layers ready to be learned, and a loop that goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor

from ...klora_core import train
from ...klora_core.names import Slot
from ...klora_core.train import Changes, Factors, Item, Weighted
from ..training import Needs, OnHost, Steps, check_weights, counted, keep, on_host, second_model, take


@contextmanager
def learning_of(
    model: Any,
    heights: Mapping[Slot, int],
    size: int,
    item: Item,
    changes: Changes,
    numbers: Sequence[Tensor] = (),
) -> Iterator[tuple[OnHost, Needs]]:
    """A second model with the layers of ``heights`` ready, and what a step on ``item`` needs of memory.

    ``size``: bytes of what is learned with; ``numbers``: what of ``changes`` is learned.
    """
    check_weights(model, size)
    with second_model(model) as second:
        needs = counted(second, heights, item.latent, item.condition, changes, size)
        with on_host(second, heights) as on:
            if numbers:
                on.check_gradients(item.latent, item.condition, changes, numbers)
            yield on, needs


def learning(
    model: Any, factors: Factors, item: Item, begun: Weighted, gradients: bool = True
) -> AbstractContextManager[tuple[OnHost, Needs]]:
    """The same for the columns and rows of LoRAs."""
    numbers = train.parameters(begun.columns) + train.parameters(begun.rows) if gradients else ()
    return learning_of(model, factors.heights, 4 * factors.size(), item, begun, numbers)


def going_on(name: str, steps: int) -> dict[str, Any]:
    """Where a loop goes on, where it keeps its state, and whom it tells."""
    name, shown = f"{name}-state", Steps(steps)
    state = take(name)
    losses = list(state["losses"]) if state else []

    def told(done: int, loss: float) -> None:
        losses.append(loss)
        shown(done, losses)

    return {"state": state, "keep": lambda now: keep(name, now), "callback": told}
