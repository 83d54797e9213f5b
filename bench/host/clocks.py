"""Where the clocks go: round what each method computes in a layer beside the layer's own product."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from comfy.weight_adapter import LoRAAdapter

from tools.host.inprocess import load_pack

from .literal import Literal
from .probes import Added


@contextmanager
def on_ours(clock: Added) -> Iterator[None]:
    """Additions to an output, and weights that are folded, with the decision which of the two."""
    apply = f"{load_pack().__name__}.klora_core.apply"
    forms, fold = (importlib.import_module(f"{apply}.{name}") for name in ("forms", "fold"))
    with ExitStack() as stack:
        stack.enter_context(patch.object(forms, "addition", _made_timed(clock, forms.addition)))
        for name in ("pays", "weight"):
            stack.enter_context(patch.object(fold.Fold, name, clock.timed(getattr(fold.Fold, name))))
        yield


@contextmanager
def on_literal(clock: Added) -> Iterator[None]:
    """The whole hook of the published algorithm."""
    with patch.object(Literal, "hook", _made_timed(clock, Literal.hook)):
        yield


@contextmanager
def on_bypass(clock: Added) -> Iterator[None]:
    """y = g(f(x) + h(x, f(x))): from the entry of h to that of g, so that the sum is in it."""

    def h(self: Any, *args: Any) -> Any:
        clock.starts()
        return own_h(self, *args)

    def g(self: Any, y: Any) -> Any:
        clock.ends()
        return own_g(self, y)

    own_h, own_g = LoRAAdapter.h, LoRAAdapter.g
    with patch.object(LoRAAdapter, "h", h), patch.object(LoRAAdapter, "g", g):
        yield


def _made_timed(clock: Added, make: Callable) -> Callable:
    return lambda *args: clock.timed(make(*args))
