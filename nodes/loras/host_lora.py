"""A LoRA as a model of the host understands it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...klora_core.deltas import Delta
from ...klora_core.files import Left, What
from ...klora_core.names import BaseModel, Slot


@dataclass(frozen=True, eq=False)
class HostLora:
    """A LoRA as this model understands it.

    ``slots`` holds the weight changes of linear and convolution layers; ``vectors`` what only ordinary
    patches can carry (biases, norms, embeddings), by host key; ``before`` the patches of layers that the host
    runs before sampling; ``clip`` the text-encoder patches. ``left`` names all that is not applied, and why;
    ``applied`` the file's tensors that the other four are made of; ``base_model`` is the one that it was
    trained on, where its layers or its metadata tell; ``notes`` say what else was done; ``bound`` whether a
    change was worked out with the model's weights.
    """

    name: str
    slots: dict[Slot, Delta]
    vectors: dict[Any, Any] = field(default_factory=dict)
    before: dict[Any, Any] = field(default_factory=dict)
    clip: dict[Any, Any] = field(default_factory=dict)
    left: tuple[Left, ...] = ()
    applied: frozenset[str] = frozenset()
    base_model: BaseModel | None = None
    notes: tuple[str, ...] = ()
    bound: bool = False

    @property
    def text(self) -> tuple[str, ...]:
        """The text-encoder layers that are not applied."""
        return tuple(item.name for item in self.left if item.what is What.TEXT)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The layers that neither the model nor the text encoder has."""
        return tuple(item.name for item in self.left if item.what in (What.LAYER, What.MISSING))
