"""The methods by name: what each is, and what makes it. A new one is its row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import making
from .b_lora import BLora
from .gates import ArrowRouting, TrainedGate
from .hand import AsScheduled
from .klora import KLora
from .making import Make
from .method import Method
from .np_lora import NpLora
from .passes import CmLora, LoraComposite
from .turns import LoraSwitch


class Entry(NamedTuple):
    """A method's class, and what makes it of its settings (:mod:`klora_core.methods.making`)."""

    method: type[Method]
    make: Callable[..., Make]


METHODS: dict[str, Entry] = {
    entry.method.name: entry
    for entry in (
        Entry(KLora, making.klora),
        Entry(LoraSwitch, making.switch),
        Entry(LoraComposite, making.composite),
        Entry(CmLora, making.cm_lora),
        Entry(BLora, making.b_lora),
        Entry(ArrowRouting, making.arrow),
        Entry(TrainedGate, making.mole),
        Entry(AsScheduled, making.as_scheduled),
        Entry(NpLora, making.np_lora),
    )
}
