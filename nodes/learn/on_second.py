"""A second model with LoRAs' layers ready to be learned, and a loop that goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...klora_core import train
from ...klora_core.errors import KLoraError
from ...klora_core.train import Factors, Item, Weighted
from ..training import Needs, OnHost, Steps, check, check_weights, counted, keep, on_host, second_model, take


def check_learnable(model: Any) -> None:
    """Raises KLoraError for a model that can't be loaded twice, and for one that fuses LoRAs in its runs."""
    check(model)
    keys = [str(key) for wrappers in model.wrappers.values() for key in wrappers]
    if any(key.startswith("klora/") for key in keys):
        raise KLoraError(
            "Connect the model from before K-LoRA Fuse or Compose LoRAs: what they do while sampling can't "
            "be learned on."
        )


@contextmanager
def learning(
    model: Any, factors: Factors, item: Item, begun: Weighted, gradients: bool = True
) -> Iterator[tuple[OnHost, Needs]]:
    """A second model with the LoRAs' layers ready, and what a step on ``item`` needs of memory."""
    size = 4 * factors.size()
    check_weights(model, size)
    with second_model(model) as second:
        needs = counted(second, factors.heights, item.latent, item.condition, begun, size)
        with on_host(second, factors.heights) as on:
            if gradients:
                numbers = train.parameters(begun.columns) + train.parameters(begun.rows)
                on.check_gradients(item.latent, item.condition, begun, numbers)
            yield on, needs


def going_on(name: str, steps: int) -> dict[str, Any]:
    """Where a loop goes on, where it keeps its state, and whom it tells."""
    name, shown = f"{name}-state", Steps(steps)
    state = take(name)
    losses = list(state["losses"]) if state else []

    def told(done: int, loss: float) -> None:
        losses.append(loss)
        shown(done, losses)

    return {"state": state, "keep": lambda now: keep(name, now), "callback": told}
