"""The optimisation loop: AdamW over some numbers, one graph at a time. Stopped, it goes on bit for bit.

Nothing here is random: whoever gives the terms of a step makes them from the step's number alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import KLoraError

Terms = Callable[[int], Iterable[Tensor]]
"""The terms of a step's loss by its number from 0 on. Each is asked for when the graph of the one before it
is gone, and their sum is the loss."""
Callback = Callable[[int, float], None]
"""Told after each step: (steps that are done, the last one's loss)."""
State = dict[str, Any]
"""Tensors, numbers and lists of them: what a loop of the same parameters needs to go on."""
Keep = Callable[[State], None]
"""Given the state to go on from, from time to time and where something stops the training."""

# Steps between two states that are kept, for what gives no time to keep one.
_KEPT = 25


@dataclass(frozen=True)
class Pace:
    """How fast and how long: ``rate`` rises over ``warm_up`` steps, then falls to 0 by a cosine, or stays.

    ``clip`` bounds the norm of all gradients together, None does not.
    """

    steps: int
    rate: float
    warm_up: int = 0
    falls: bool = True
    clip: float | None = None

    def rate_at(self, step: int) -> float:
        """The rate of ``step``, from 0 on."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        if not self.falls:
            return self.rate
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, eq=False)
class Group:
    """Parameters that are learned at ``share`` of the pace's rate."""

    parameters: tuple[Tensor, ...]
    share: float = 1.0


class Loop:
    """A training from its first step to its last, in as many runs as it takes."""

    def __init__(self, groups: Sequence[Group], pace: Pace) -> None:
        self.pace, self.groups = pace, tuple(groups)
        self.step, self.losses = 0, list[float]()
        self._parameters = [parameter for group in self.groups for parameter in group.parameters]
        self.optimizer = torch.optim.AdamW(
            [{"params": list(group.parameters)} for group in self.groups], lr=pace.rate, weight_decay=0.0
        )

    def run(
        self,
        terms: Terms,
        callback: Callback | None = None,
        after: Callable[[int], None] | None = None,
        stop: Callable[[], bool] | None = None,
        keep: Keep | None = None,
    ) -> None:
        """Do the steps that are left. ``after`` may change parameters and moments when a step is done,
        ``stop`` says whether it was the last.

        Whatever ``terms`` or ``callback`` raise stops it between two steps: ``keep`` is given the state of
        the last step that was done, as it is from time to time, and no gradient is left. Raises KLoraError
        where the loss is no number.
        """
        try:
            with torch.inference_mode(False), torch.enable_grad():
                while self.step < self.pace.steps:
                    loss = self._one(terms)
                    if after is not None:
                        with torch.no_grad():
                            after(self.step)
                    self.losses.append(loss)
                    self.step += 1
                    if keep is not None and self.step % _KEPT == 0:
                        keep(self.state())
                    if callback is not None:
                        callback(self.step, loss)
                    if stop is not None and stop():
                        break
        except BaseException:
            # Hosts interrupt by what is no Exception.
            if keep is not None:
                keep(self.state())
            raise
        finally:
            self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> State:
        """A copy of all that :meth:`resume` needs, on the CPU."""
        return {
            "step": self.step,
            "losses": list(self.losses),
            "parameters": [parameter.detach().to("cpu", copy=True) for parameter in self._parameters],
            "moments": [
                {name: value.detach().to("cpu", copy=True) for name, value in self.optimizer.state[p].items()}
                if p in self.optimizer.state
                else {}
                for p in self._parameters
            ],
        }

    def resume(self, state: State) -> None:
        """Go on from ``state``, of a loop with the same parameters and the same pace."""
        with torch.inference_mode(False), torch.no_grad():
            for parameter, value in zip(self._parameters, state["parameters"], strict=True):
                parameter.copy_(value)
            for parameter, moments in zip(self._parameters, state["moments"], strict=True):
                if moments:
                    # The count of steps lies on the CPU whatever the parameter lies on.
                    self.optimizer.state[parameter] = {
                        name: value.clone() if value.ndim == 0 else value.to(parameter.device, copy=True)
                        for name, value in moments.items()
                    }
        self.step, self.losses = int(state["step"]), list(state["losses"])

    def _one(self, terms: Terms) -> float:
        for group, settings in zip(self.groups, self.optimizer.param_groups, strict=True):
            settings["lr"] = self.pace.rate_at(self.step) * group.share
        self.optimizer.zero_grad(set_to_none=True)
        total: Tensor | None = None
        for term in terms(self.step):
            # A term of nothing that learns is a number and no more.
            if term.requires_grad:
                term.backward()
            value = term.detach().double()
            total = value if total is None else total + value
        # Read once a step: on a GPU each reading waits for all that was asked before.
        loss = 0.0 if total is None else float(total)
        if not math.isfinite(loss):
            raise KLoraError(
                f"at step {self.step + 1} the loss is no number.", f"Lower the rate ({self.pace.rate:g})"
            )
        if self.pace.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.pace.clip)
        self.optimizer.step()
        return loss
