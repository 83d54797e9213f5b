"""K-LoRA's dials, as inputs of the nodes that offer it, and what they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..klora_core.deltas import LAYERS
from ..klora_core.deltas.gates import PICTURE, TOKEN, TOTALS
from ..klora_core.errors import KLoraError
from ..klora_core.methods import DEFAULT_MU, Make, making
from ..klora_core.methods.klora import (
    DEFAULT_ALPHA,
    DEFAULT_BETA,
    DEFAULT_OUTSIDE,
    GAMMA_MODES,
    LOSERS,
    SCHEDULES,
    SCORES,
)


def advanced(id: str, options: Sequence[str], tooltip: str) -> io.Combo.Input:
    """An advanced choice, its first option the default."""
    return io.Combo.Input(
        id, options=list(options), default=options[0], optional=True, advanced=True, tooltip=tooltip
    )


def whole(
    id: str, default: int, between: tuple[int, int], tooltip: str, step: int | None = None, **kind: bool
) -> io.Int.Input:
    """A whole number; ``kind`` is ``optional``, or ``advanced``, which is optional too."""
    least, most = between
    return io.Int.Input(id, default=default, min=least, max=most, step=step, tooltip=tooltip, **_kind(**kind))


def number(
    id: str, default: float, between: tuple[float, float], step: float, tooltip: str, **kind: bool
) -> io.Float.Input:
    """A number, of the same kinds."""
    least, most = between
    return io.Float.Input(
        id, default=default, min=least, max=most, step=step, tooltip=tooltip, **_kind(**kind)
    )


def text(id: str, tooltip: str, **kind: bool) -> io.String.Input:
    """Text of many lines, of the same kinds."""
    return io.String.Input(id, default="", multiline=True, tooltip=tooltip, **_kind(**kind))


def sides(tooltip: str, **kind: bool) -> list[io.Input]:
    """Width and height of pictures that a node makes, of the same kinds."""
    return [whole(id, 1024, (16, 4096), tooltip, step=8, **kind) for id in ("width", "height")]


STRENGTHS = -10.0, 10.0
"""From the least to the largest that a node takes."""


def strength(id: str, tooltip: str, **kind: bool) -> io.Float.Input:
    return number(id, 1.0, STRENGTHS, 0.05, tooltip, **kind)


def _kind(optional: bool = False, advanced: bool = False) -> dict[str, Any]:
    return {"optional": optional or advanced, "advanced": True if advanced else None}


def seed(most: int, tooltip: str, optional: bool = False) -> io.Int.Input:
    """One that stays from run to run: another seed is another training."""
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=most,
        control_after_generate=False,
        optional=optional,
        tooltip=tooltip,
    )


def steps(default: int, tooltip: str, optional: bool = False) -> io.Int.Input:
    """How long something learns."""
    return whole("steps", default, (1, 100_000), tooltip, optional=optional)


def top() -> io.Int.Input:
    said = "So many LoRAs work together in a layer, those that fit its input best."
    return whole("top", 2, (1, 64), said, optional=True)


def pool(first: str) -> io.Combo.Input:
    """For what a gate is one, ``first`` the default."""
    return advanced(
        "pool",
        (first, PICTURE if first == TOKEN else TOKEN),
        "token: each part of the picture has weights of its own, as in the paper. picture: one set for all.",
    )


def total(first: str = TOTALS[0]) -> io.Combo.Input:
    """What the gates of a layer sum to, ``first`` the default."""
    return advanced(
        "sum",
        (first, *(each for each in TOTALS if each != first)),
        "What the weights of a layer sum to. 1: as in the paper, an average of the LoRAs. N: their number, "
        "so that even weights are the plain sum.",
    )


def balance(optional: bool = False) -> io.Float.Input:
    return io.Float.Input(
        "balance",
        optional=optional,
        default=0.0,
        min=-1.0,
        max=1.0,
        step=0.05,
        display_mode=io.NumberDisplay.slider,
        tooltip="The one control to turn, by tenths: up, and the style takes over earlier; down, and the "
        "subject keeps the layers longer. 0 is the paper's.",
    )


_SCHEDULE = (
    "s: subject first, then style. s*: a short style lead for its colours and composition first; recommended "
    "for FLUX."
)
STATIC = "np-lora"
"""Among the schedules of a node: no schedule, both LoRAs all the time."""


def schedule(optional: bool = False, static: bool = False) -> io.DynamicCombo.Input:
    """K-LoRA's schedules; with ``static`` NP-LoRA beside them."""
    options = [
        _schedule_option("s", "s: the subject leads first, the style takes over."),
        _schedule_option("s*", "s*: the style leads for the first steps, then as s."),
    ]
    more = " np-lora: both work all the time, the subject kept out of what the style looks at."
    return io.DynamicCombo.Input(
        "schedule",
        optional=optional,
        options=[*options, io.DynamicCombo.Option(STATIC, [mu()])] if static else options,
        tooltip=_SCHEDULE + more if static else _SCHEDULE,
    )


def mu() -> io.Float.Input:
    return io.Float.Input(
        "mu",
        optional=True,
        default=DEFAULT_MU,
        min=0.0,
        max=20.0,
        step=0.05,
        display_mode=io.NumberDisplay.slider,
        tooltip="How firmly NP-LoRA keeps the subject out of what the style looks at. 0: the plain sum. "
        "Large: the style alone where they meet. The paper: 0.5.",
    )


def _schedule_option(name: str, tooltip: str) -> io.DynamicCombo.Option:
    return io.DynamicCombo.Option(
        name,
        [
            io.Float.Input(
                "alpha",
                optional=True,
                advanced=True,
                default=DEFAULT_ALPHA,
                min=0.01,
                max=10.0,
                step=0.05,
                tooltip=f"How fast the scale grows over the steps. {tooltip}",
            ),
            io.Float.Input(
                "beta",
                optional=True,
                advanced=True,
                default=DEFAULT_BETA[name],
                min=0.0,
                max=10.0,
                step=0.05,
                tooltip="Where the scale starts. Higher gives the style more layers from the first step on.",
            ),
        ],
    )


def gamma() -> io.Combo.Input:
    return advanced(
        "gamma",
        GAMMA_MODES,
        "How the two LoRAs are brought to one size before they compete. paper: by their total "
        "size. reference: by the mean of the layers' own ratios, as in the published code. "
        "none: as they are, so the larger LoRA wins more.",
    )


def layers() -> io.Combo.Input:
    return advanced(
        "layers",
        LAYERS,
        "Which layers compete. shared: all that both LoRAs change. attention: of those the "
        "attention layers alone; the rest is left to other_layers.",
    )


def score() -> io.Combo.Input:
    return advanced(
        "score",
        SCORES,
        "What is compared in a layer. top-k: the sum of the largest entries, as many as rank "
        "times rank, as in the paper. energy: the sum of the squares of all entries, as "
        "EST-LoRA does; needs no scoring pass.",
    )


def loser() -> io.Combo.Input:
    return advanced(
        "loser",
        LOSERS,
        "What the loser of a layer does. off: nothing, as in the paper. outside: it acts on "
        "the inputs that the winner does not look at, as strongly as outside says. Its "
        "factors take twice the memory.",
    )


def outside() -> io.Float.Input:
    return io.Float.Input(
        "outside",
        default=DEFAULT_OUTSIDE,
        min=0.0,
        max=1.0,
        step=0.05,
        optional=True,
        advanced=True,
        tooltip="How strongly the loser acts where the winner does not look, with loser outside.",
    )


def make_klora(schedule: Any = SCHEDULES[0], static: bool = False, **dials: Any) -> Make:
    """:func:`making.klora` at these dials; with ``static`` also what stands beside its schedules.

    ``schedule`` is the checked value of the node's dynamic combo, or a bare name. Raises KLoraError.
    """
    chosen: Any = {"schedule": schedule} if isinstance(schedule, str) else schedule
    if static and chosen["schedule"] not in (*SCHEDULES, STATIC):
        raise KLoraError(
            f"unknown schedule {chosen['schedule']!r}.",
            f"Use one of {', '.join(SCHEDULES)}, or {STATIC}, for both all the time",
        )
    if static and chosen["schedule"] == STATIC:
        return making.np_lora(chosen.get("mu", DEFAULT_MU), dials.get("layers", LAYERS[0]))
    return making.klora(chosen["schedule"], chosen.get("alpha"), chosen.get("beta"), **dials)
