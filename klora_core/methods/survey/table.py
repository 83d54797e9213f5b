"""The table of all pairs, a line each: what is the same both ways once, the rest for each of the two."""

from __future__ import annotations

import math

from .pairs import Survey, Way

_LEGEND = [
    "Pairs, by the files' numbers. The same both ways: layers in which the two meet, spread, overlap.",
    "  gamma       how many times as large the changes of the 1st are, as the mode of gamma counts it",
    "  spread      rho's 95th percentile over its 5th: 1 is all layers alike, a choice of time alone",
    "  overlap     mean |cos| of the two changes in a layer: 0 is nothing in common, 1 the same",
    "  takes over  steps by which 5 % and 95 % of the layers are the style's to the end, if ever; half: 50 %",
    "  style       its share of all cells (layers times steps); *: see above",
    "  one change  how much of the choice one change of all layers is, at the best moment",
]
_BOTH = " 1st  2nd  layers   gamma  spread  overlap"
_WAY = "   takes over  half  style  one change"


def table(survey: Survey) -> list[str]:
    """Its lines, with what they mean; none without a pair."""
    if not survey.pairs:
        return []
    head = [
        " " * len(_BOTH)
        + "   1st in the style of the 2nd".ljust(len(_WAY))
        + "   2nd in the style of the 1st"
    ]
    lines = []
    for pair in survey.pairs:
        overlap = "-" if pair.overlap is None else f"{pair.overlap:.3f}"
        both = (
            f"{pair.one + 1:>4} {pair.other + 1:>4} {pair.layers:>7,}  {_number(pair.ways[0].gamma):>6}"
            f"  {_number(pair.spread):>6}  {overlap:>7}"
        )
        lines.append(both + "".join(_way(way, len(survey.columns)) for way in pair.ways))
    return [*_LEGEND, "", *head, _BOTH + 2 * _WAY, *lines]


def _way(way: Way, columns: int) -> str:
    found = way.handover
    over = "never" if found.first is None else f"{found.first}-{found.last or ''}"
    half = "never" if found.half is None else str(found.half)
    mark = "*" if way.likely_hurt else " "
    return f"   {over:>10}  {half:>4}  {way.share:>4.0%}{mark}  {found.change.share:>10.0%}"


def _number(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.3g}"
