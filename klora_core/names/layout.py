"""The layout of the network that a LoRA was made for, from the names and shapes in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .sign_table import EARLY_ATTENTION, LATE_ATTENTION, SIGNS
from .signs import Own, Shapes, Shared, Sign, lines_of

_SIGNS = [sign for kind in (Own, Shared) for sign in SIGNS if isinstance(sign, kind)]


@dataclass(frozen=True)
class Layout:
    """What a file's names tell about its base model; None where they leave it open.

    ``network`` is ``unet`` (SD 1.5, SDXL), one of the networks that :mod:`klora_core.names.networks` has a
    table of, whose layout others may share, or ``other``.
    """

    network: str | None = None
    attention_in_first_up_block: bool | None = None

    def or_else(self, other: Layout) -> Layout:
        """This knowledge, and the other's where this leaves something open."""
        mine, early = self.network, self.attention_in_first_up_block
        return Layout(
            other.network if mine is None else mine,
            other.attention_in_first_up_block if early is None else early,
        )


def layout_of(shapes: Shapes) -> Layout:
    """The layout that ``shapes`` tell: [out, n] of each change of a file by the path of its module."""
    return layout_by(lines_of(shapes))


def layout_by(lines: Sequence[str]) -> Layout:
    """The layout of a file of these lines, as :func:`lines_of` writes them."""
    network = next((sign.layout for sign in _SIGNS if sign.fits(lines)), None)
    if Sign(None, EARLY_ATTENTION).fits(lines):
        return Layout(network, True)
    return Layout(network, False if Sign(None, LATE_ATTENTION).fits(lines) else None)
