"""What a check says: rows, each with a verdict. Needs no host and no torch."""

from __future__ import annotations

from typing import NamedTuple

OK, MISSED, FAILED, SKIPPED, TOLD = "ok", "missed", "FAILED", "skipped", ""
"""``MISSED``: right, and short of an aim. ``FAILED``: wrong, or it came to no answer. ``TOLD``: no aim."""


class Row(NamedTuple):
    """One answer. A later row of the same check about the same thing takes the place of the earlier."""

    what: str
    found: str
    aim: str = ""
    verdict: str = TOLD


def bounded(what: str, value: float, most: float, found: str) -> Row:
    """A measured aim: ``value``, written as ``found``, is to be ``most`` at most."""
    return Row(what, found, f"at most {most:g}", OK if value <= most else MISSED)


def same_latents(what: str, ours: float, bare: float, effect: float) -> Row:
    """Whether the fused model's latents stay as near to the reference as the bare model's do.

    All three are relative distances: the fused model's from its reference, the bare model's from its own
    (the noise of the arithmetic), and the fused model's from the bare one's (what would be lost).
    """
    most = max(2 * bare, 0.01)
    found = f"{ours:.1e} (bare model {bare:.1e}, the LoRAs' effect {effect:.1e})"
    # A NaN is below nothing.
    right = ours <= most and effect > 2 * most
    return Row(what, found, f"at most {most:.1e}, half of the effect", OK if right else FAILED)
