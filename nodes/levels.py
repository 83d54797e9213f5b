"""The noise levels of the host's models, for counting progress by them."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from ..klora_core.progress import noise_levels

# A thousand calls of the host's take long enough to be noticed at every turn of a dial. One entry for each
# model that is loaded, gone with it.
_known: WeakKeyDictionary[Any, tuple[float, ...]] = WeakKeyDictionary()


def levels_of(model_sampling: Any) -> tuple[float, ...]:
    """Its sigmas at equal steps of its noise schedule, see ``klora_core.progress.Progress``."""
    if model_sampling not in _known:
        _known[model_sampling] = noise_levels(model_sampling.percent_to_sigma)
    return _known[model_sampling]
