"""Changes with gradients on the layers of a model: forward hooks, the base's weights are never touched.

One set of hooks serves every prediction: what they add is the changes that are shown at the moment, so that
a LoRA alone, a plain sum and what is learned need one model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from torch import Tensor, nn

from ..apply import HostRules, Spot, Where
from ..names import Slot
from .chains import features, narrowed

Change = Callable[[Any, Tensor], Tensor]
"""(module, its input) -> what is added to the slot's rows, laid out as the module's output."""


class Changes(Protocol):
    """What is added in a prediction: the coefficients of a merge, a gate, or LoRAs that are trained."""

    def of(self, slot: Slot) -> Change | None:
        """The change of a slot in this call, None for none."""
        ...


class Layers:
    """The layers of ``model`` that ``slots`` (each with its number of rows) lie in, with hooks on them.

    ``where`` says where a slot lies in the model, ``rules`` how its host is made to call these layers.
    ``close`` takes off all that was put on.
    """

    open = True

    def __init__(
        self, model: nn.Module, slots: Mapping[Slot, int], where: Where, rules: HostRules | None = None
    ) -> None:
        self._shown: Changes | None = None
        self._ran: set[str] = set()
        self._on = ExitStack()
        by_layer: dict[str, list[tuple[Slot, Spot]]] = {}
        for slot, out in slots.items():
            for spot in where(slot, out):
                by_layer.setdefault(spot.layer, []).append((slot, spot))
        self._names = tuple(by_layer)
        modules = {layer: model.get_submodule(layer) for layer in by_layer}
        with ExitStack() as on:
            if rules is not None:
                on.callback(rules.calls(list(modules.values()), self))
            for layer, spots in by_layer.items():
                on.callback(modules[layer].register_forward_hook(self._hook(layer, spots)).remove)
            self._on = on.pop_all()

    def close(self) -> None:
        """Take the hooks off. To be called whatever has happened."""
        self._shown = None
        self._on.close()

    def __enter__(self) -> Layers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def shown(self) -> Changes | None:
        """The changes of the prediction in progress; None, the base model alone."""
        return self._shown

    @contextmanager
    def showing(self, changes: Changes | None) -> Iterator[None]:
        """Add ``changes`` within; what is recomputed for a backward pass later has to ask for them again."""
        before, self._shown = self._shown, changes
        try:
            yield
        finally:
            self._shown = before

    @property
    def unseen(self) -> tuple[str, ...]:
        """The layers that have not run with changes shown: what is learned for them is nothing."""
        return tuple(name for name in self._names if name not in self._ran)

    def _hook(self, layer: str, spots: list[tuple[Slot, Spot]]) -> Callable[..., Tensor | None]:
        def after(module: Any, args: tuple, output: Tensor) -> Tensor | None:
            if self._shown is None:
                return None
            self._ran.add(layer)
            for slot, spot in spots:
                change = self._shown.of(slot)
                if change is None:
                    continue
                more = narrowed(module, change(module, args[0]), spot.part).to(output.dtype)
                if spot.rows is None:
                    output = output + more
                else:
                    # The layer's own fresh tensor: no gradient needs what it held before.
                    output.narrow(features(module), *spot.rows).add_(more)
            return output

        return after
