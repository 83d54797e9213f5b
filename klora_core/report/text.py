"""A plan in words: what competes, who wins when, and what is left out."""

from __future__ import annotations

import numpy as np

from ..loras import OTHER, LoraInfo
from ..plan import KEEP, Plan
from ..progress import AUTO, NOISE_LEVEL, Columns
from .left_out import abbreviated
from .summary import sentence

_BAR = 24
_MARKS = "#.+o*x=~"
_ROWS = 10
_FEW_SLOTS = 8
_PROGRESS = {
    AUTO: "steps where a run goes from pure noise to the image, noise level where it is a part of that",
    NOISE_LEVEL: "read off the noise, the same in every part of a run",
}


def text(plan: Plan, columns: Columns) -> str:
    """The report of a plan over ``columns``, lines joined by newlines, none at the end.

    First what is not applied and what a person should know, then what happens, then how it was decided.
    """
    sections = (
        [*_not_applied(plan), *_warnings(plan, columns)],
        [sentence(plan, columns), *plan.method.course(columns)] if plan.slots else [],
        _table(plan, columns),
        _answers(plan, columns),
        _heading(plan, columns),
        _left_out(plan),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _not_applied(plan: Plan) -> list[str]:
    return ["Not applied:", *(f"  {line}" for line in plan.not_applied)] if plan.not_applied else []


def _answers(plan: Plan, columns: Columns) -> list[str]:
    if not plan.slots:
        return []
    return list(plan.method.answers(plan.loras, [moment.x for moment in columns.moments]))


def _heading(plan: Plan, columns: Columns) -> list[str]:
    lines = [f"{plan.method.name}: {plan.method.summary}"]
    lines += [f"  {label:<9} {_lora(lora)}" for label, lora in zip(plan.labels, plan.loras, strict=True)]
    lines.append(f"  competing {_count(len(plan.slots), 'layer')}")
    for fact in plan.method.facts():
        lines.append(f"  {fact.label:<9} {': '.join(filter(None, fact[1:]))}")
    mode = plan.progress.mode
    lines.append(f"  progress  {mode}" + (f": {_PROGRESS[mode]}" if mode in _PROGRESS else ""))
    if mode == AUTO and columns.mode is not None:
        lines.append(f"            in this run: {columns.mode}")
    return lines


def _lora(lora: LoraInfo) -> str:
    parts = [f"{lora.base} LoRA"] if lora.base else []
    parts += [f"changes {_count(lora.slots, 'layer')}"] if lora.slots else []
    parts += [f"strength {lora.strength:g}"] if lora.strength != 1 else []
    parts += [f"blocks {lora.blocks}"] if lora.blocks else []
    return f"{lora.name} ({', '.join(parts)})" if parts else lora.name


def _table(plan: Plan, columns: Columns) -> list[str]:
    if not plan.slots or plan.method.undecided:
        return []
    shares, labels = plan.family_shares(columns), plan.family_names
    if plan.method.by_input and not shares[-1].any():
        # What no layer left open.
        shares, labels = shares[:-1], labels[:-1]
    unit = "step" if columns.are_steps else "progress"
    lines = [f"{unit:>9}" + "".join(f"  {label:>7}" for label in labels)]
    for start, stop in _groups(shares):
        lines.append(_row(_span(start, stop, columns), shares[:, start:stop].mean(axis=1)))
    legend = ", ".join(f"{mark} {label}" for mark, label in zip(_MARKS, labels, strict=False))
    lines.append(_row("all", shares.mean(axis=1), bar=False) + f"  (share of the layers; {legend})")
    return lines


def _row(label: str, shares: np.ndarray, bar: bool = True) -> str:
    line = f"{label:>9}" + "".join(f"  {share:>7.0%}" for share in shares)
    return f"{line}  {_bar(shares)}" if bar else line


def _bar(shares: np.ndarray) -> str:
    edges = np.rint(np.cumsum(shares) * _BAR).astype(int)
    widths = np.diff(edges, prepend=0)
    return "".join(mark * width for mark, width in zip(_MARKS, widths, strict=False))


def _span(start: int, stop: int, columns: Columns) -> str:
    if columns.are_steps:
        return f"{start + 1}" if stop - start == 1 else f"{start + 1}-{stop}"
    return f"{start / len(columns):.0%}-{stop / len(columns):.0%}"


def _groups(shares: np.ndarray) -> list[tuple[int, int]]:
    """Columns as (first, behind the last): one a row while they fit, else equal neighbours or parts."""
    count = shares.shape[1]
    if count <= _ROWS:
        return [(i, i + 1) for i in range(count)]
    changes = np.flatnonzero((np.diff(shares, axis=1) != 0).any(axis=0)) + 1
    borders = [0, *changes.tolist(), count]
    if len(borders) - 1 > _ROWS:
        borders = np.linspace(0, count, _ROWS + 1).round().astype(int).tolist()
    return list(zip(borders[:-1], borders[1:], strict=True))


def _warnings(plan: Plan, columns: Columns) -> list[str]:
    count = len(plan.slots)
    lines = [f"Warning: {line}" for line in plan.warnings]
    if count == 0:
        return [*lines, "Warning: no layer competes, so this plan fuses nothing."]
    if count < _FEW_SLOTS:
        elsewhere = any(lora.alone for lora in plan.loras)
        who = "the two LoRAs" if len(plan.loras) == 2 else "the LoRAs"
        lines.append(
            f"Warning: only {_count(count, 'layer')} compete{'s' if count == 1 else ''}"
            + (f": {who} mostly change different layers." if elsewhere else ".")
        )
    used = [bool(share.any()) for share in plan.shares(columns)]
    idle = plan.method.idle(used, plan.candidates, plan.taking_part)
    return [*lines, *(f"Warning: {said}" for said in idle if said)]


def _left_out(plan: Plan) -> list[str]:
    fate = "applied as usual" if plan.other_layers == KEEP else "dropped"
    owners: dict[str, list[int]] = {}
    beside = []
    for i, lora in enumerate(plan.loras):
        if lora.role == OTHER:
            label, count = plan.labels[i], _count(len(lora.alone), "layer")
            beside.append(f"  {label}: works beside them, throughout, in {count}")
            continue
        for name in lora.alone:
            owners.setdefault(name, []).append(i)
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, who in owners.items():
        groups.setdefault(tuple(who), []).append(name)
    lines = beside
    for owner in sorted(groups, key=lambda g: (len(g), g)):
        names, labels = groups[owner], [plan.labels[i] for i in owner]
        if len(owner) == 1:
            reason = f"only the {labels[0]} LoRA changes them"
        else:
            all_of_them = "both LoRAs" if len(owner) == 2 == len(plan.loras) else f"{' and '.join(labels)}"
            reason = f"{all_of_them} change them, but they are not among the layers that may compete"
        lines.append(f"  {_count(len(names), 'layer')}, {fate}; {reason}: {abbreviated(names)}")
    lines += [f"  {note.text}" for note in plan.notes if note.applied]
    return ["Not competing:", *lines] if lines else []


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
