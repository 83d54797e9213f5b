"""What runs showed of the layers of loaded models: in the log, on the node, and in reports made later."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, finalize, ref

from ...klora_core.plan import Plan
from ...klora_core.report import unseen
from ..host import PREFIX, announce_unseen

_LOG = logging.getLogger("klora")

# Of each model that is loaded, gone with it: whether its layers ran in the last run that changed them.
_ran: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()


class _On(NamedTuple):
    model: ref[Any]
    layers: tuple[str, ...]


# The model and the layers of each plan, gone with the plan.
_plans: dict[int, _On] = {}


class Seen:
    """What is said of the runs of ``plan`` on a model: of those ``layers``, each changed by a LoRA.

    ``node`` is the execution id of the node that made the plan.
    """

    def __init__(self, node: str | None, plan: Plan, model: Any, layers: Sequence[str]) -> None:
        self._node = node
        self._on = _On(ref(model), tuple(layers))
        self._said: tuple[str, ...] = ()
        _plans[id(plan)] = self._on
        finalize(plan, _plans.pop, id(plan), None)

    def first(self, missing: Sequence[str]) -> None:
        """The first evaluation of a run is over; ``missing`` did not run in it."""
        self._note(missing)
        self._said = tuple(missing)
        if missing:
            self._say(missing, "in the first evaluation of this run")
            announce_unseen(self._node, _names(missing), self._count, whole=False)

    def over(self, missing: Sequence[str]) -> None:
        """A run is over; ``missing`` did not run in it."""
        self._note(missing)
        if tuple(missing) != self._said:
            self._say(missing, "in this run")
            announce_unseen(self._node, _names(missing), self._count, whole=True)
        self._said = ()

    @property
    def _count(self) -> int:
        return len(self._on.layers)

    def _say(self, missing: Sequence[str], when: str) -> None:
        if missing:
            _LOG.warning("K-LoRA: %s", unseen(_names(missing), self._count, when))
        else:
            _LOG.info("K-LoRA: all layers that are changed did run later.")

    def _note(self, missing: Sequence[str]) -> None:
        model, gone = self._on.model(), set(missing)
        if model is not None:
            _ran.setdefault(model, {}).update((layer, layer not in gone) for layer in self._on.layers)


def unseen_before(plan: Plan) -> tuple[str, ...]:
    """A sentence on the layers of ``plan`` that did not run in the last run that changed them, if any."""
    on = _plans.get(id(plan))
    model = None if on is None else on.model()
    if on is None or model is None:
        return ()
    ran = _ran.get(model, {})
    missing = [layer for layer in on.layers if not ran.get(layer, True)]
    said = unseen(_names(missing), len(on.layers), "in the last run with LoRAs on them")
    return (said,) if said else ()


def _names(layers: Sequence[str]) -> list[str]:
    return [layer.removeprefix(PREFIX) for layer in layers]
