"""The command ``report``: which of several LoRA files would work where and when, by any method.

``folder`` is its other half, all pairs of a folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any

from .. import files, outputs, plan_file, report
from ..deltas import LAYERS
from ..deltas.gates import POOLS, TOTALS
from ..errors import KLoraError
from ..files.learned import content_of_file, open_gate
from ..loras import OTHER, ROLES, STYLE, SUBJECT, LoraInfo, labels_of
from ..methods import DEFAULT_MU, METHODS, ORDERS, CmLora, Entry, Given, LoraSwitch, NpLora
from ..methods.gates import ArrowRouting, TrainedGate
from ..methods.klora import GAMMA_MODES, SCHEDULES, SCORES, KLora
from ..names import strengths_of, words_of
from ..plan import Note, Plan, make_plan
from ..progress import check_steps, in_steps
from . import folder
from .by_hand import add_when, at_work, when_of
from .saving import plot, write
from .terminal import say

STEPS, MAX_STEPS = 30, 10_000


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add ``report`` to the sub-commands of the command line."""
    command: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="which of several LoRAs works where and when",
        description="Which of several LoRAs works in which layer and step.",
        allow_abbrev=False,
        # What is not given is not there: the methods have their own defaults, and a plan all of its settings.
        argument_default=argparse.SUPPRESS,
    )
    add = command.add_argument
    add("pair", type=Path, nargs="*", metavar="LORA.safetensors", help="a subject's LoRA, then a style's")
    for role in ROLES:
        add(
            f"--{role}",
            dest="loras",
            action="append",
            type=_of_role(role),
            metavar="FILE",
            help=f"a LoRA of the role {role}, as often as there are any; their order is that of the turns",
        )
    add("--method", choices=tuple(METHODS), help=f"how (default: {KLora.name})")
    add("--steps", type=int, default=None, help=f"sampling steps (default: {STEPS}, or those of --plan)")
    _add_klora(command.add_argument_group(KLora.name).add_argument)
    turns = command.add_argument_group(f"{LoraSwitch.name} and {CmLora.name}").add_argument
    turns("--tau", type=_tau, help="steps in a turn, or a part of the run such as 0.25")
    turns("--order", choices=ORDERS, help="as in the published code, or as in the paper")
    turns("--reserve", type=int, help="so many last steps belong to the subject (default: 0)")
    turns("--late", choices=(SUBJECT, STYLE), help="LoRAs of this role lead only after 0.6 of the steps")
    turns("--dominance", type=float, help="how many times as much the leading prediction counts")
    routed = command.add_argument_group(f"{TrainedGate.name} and {ArrowRouting.name}").add_argument
    routed("--gate", type=Path, metavar="FILE", help=f"a trained gate of these LoRAs ({TrainedGate.name})")
    routed("--top", type=int, help="so many LoRAs work together (default: 2)")
    routed("--pool", choices=POOLS, help="one set of weights for each of these (default: token)")
    routed("--sum", dest="total", choices=TOTALS, help="what the weights sum to (default: 1)")
    add("--mu", type=float, help=f"{NpLora.name}: 0 is the plain sum (default: {DEFAULT_MU:g})")
    add_when(command.add_argument_group("each LoRA by hand").add_argument)
    add("--json", type=Path, default=None, metavar="FILE", help="write the plan, or the pairs, as JSON")
    add("--plot", type=Path, default=None, metavar="FILE.png", help="draw the plan, or the pairs")
    add(
        "--plan",
        type=Path,
        default=None,
        metavar="FILE",
        help="a plan that --json wrote, in the place of LoRAs and settings",
    )
    add(
        "--folder",
        type=Path,
        default=None,
        metavar="DIR",
        help=f"all pairs of the LoRAs in a folder, by {KLora.name}, in the place of LoRAs",
    )
    return command


def _add_klora(add: Callable[..., Any]) -> None:
    add("--schedule", choices=SCHEDULES, help="s: subject first; s*: style at first")
    add("--alpha", type=float, help="slope of the schedule (default: the paper's)")
    add("--beta", type=float, help="start of the schedule (default: the paper's)")
    add("--balance", type=float, help="-1 leans to the subject, 1 to the style (default: 0)")
    add("--gamma", choices=GAMMA_MODES, help="how the LoRAs are brought to one size")
    add("--layers", choices=LAYERS, help="which layers compete (default: all shared)")
    add("--score", choices=SCORES, help="what is compared (default: top-k, the paper's)")


def _of_role(role: str) -> Callable[[str], tuple[str, Path]]:
    return lambda name: (role, Path(name))


def _tau(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def run(options: argparse.Namespace) -> int:
    """Say on stdout who works where, and write the files that were asked for. Raises KLoraError."""
    steps = STEPS if options.steps is None else options.steps
    check_steps(steps)
    if steps > MAX_STEPS:
        raise KLoraError(f"steps must be at most {MAX_STEPS}, got {steps}.")
    if options.folder is not None:
        return folder.run(options, in_steps(steps))
    given = vars(options)
    outputs.check([path for path in (options.json, options.plot) if path], _inputs(given))
    if options.plan is None:
        plan = _planned(given)
    else:
        plan, own = _read_back(given)
        steps = own if options.steps is None else steps
    over = plan.progress.of_steps(steps)
    # The files first: after a failure to write, nothing is half done on stdout.
    if options.json:
        write(options.json, plan.dumps(steps))
    if options.plot:
        plot(options.plot, lambda picture: picture.draw(plan, over))
    say(report.text(plan, over))
    return 0


def _inputs(given: Mapping[str, Any]) -> list[Path]:
    plan = [given["plan"]] if given["plan"] is not None else []
    gate = [given["gate"]] if "gate" in given else []
    return [*plan, *gate, *given.get("pair", ()), *(path for _, path in given.get("loras", ()))]


def _dials(entry: Entry) -> Collection[str]:
    return signature(entry.make).parameters.keys()


def _planned(given: Mapping[str, Any]) -> Plan:
    # A trained gate is of one method.
    entry = METHODS[given.get("method", TrainedGate.name if "gate" in given else KLora.name)]
    dials = {name: given[name] for name in _dials(entry) if name in given}
    if "gate" in dials:
        dials["gate"] = open_gate(dials["gate"])
    make = entry.make(**dials)
    roles, paths = _by_role(given.get("pair", ()), given.get("loras", ()))
    loras = files.read_all(paths)
    names, blocks = tuple(lora.name for lora in loras), given.get("blocks")
    when = when_of(given, names)
    slots = tuple(at_work(loras, blocks))
    taking_part = [path for role, path in zip(roles, paths, strict=True) if role != OTHER]
    rows, method = make(
        Given(
            slots,
            roles,
            names,
            give_role="Name one by --{role} FILE",
            when=when,
            contents=lambda: [content_of_file(path) for path in taking_part],
        )
    )
    infos = [
        LoraInfo(lora.name, role, base=words_of(lora.base_model), blocks=strengths_of(text).text)
        for lora, role, text in zip(loras, roles, blocks or [""] * len(loras), strict=True)
    ]
    notes = [*report.not_followed(method, labels_of(roles), roles, when), *chain(*map(_notes, loras))]
    return make_plan(rows, infos, method, notes=notes)


def _read_back(given: Mapping[str, Any]) -> tuple[Plan, int]:
    """The plan of --plan, and the steps that it was written for."""
    settings = {"pair", "loras", "method", "start", "end", "curve", "blocks"}.union(
        *map(_dials, METHODS.values())
    )
    beside = [name for name in given if name in settings]
    if beside:
        raise KLoraError("--plan has its LoRAs and settings in it.", f"Leave out {', '.join(beside)}")
    return plan_file.read(given["plan"])


def _by_role(pair: Sequence[Path], others: Sequence[tuple[str, Path]]) -> tuple[tuple[str, ...], list[Path]]:
    if len(pair) not in (0, 2):
        raise KLoraError(
            f"got {len(pair)} files.",
            "Give two files, SUBJECT.safetensors and STYLE.safetensors, or name others by --subject "
            "FILE and --style FILE",
        )
    named = [*zip((SUBJECT, STYLE), pair, strict=False), *others]
    if not named:
        raise KLoraError(
            "files are required.",
            "Give SUBJECT.safetensors STYLE.safetensors, or --subject FILE --style FILE",
        )
    named.sort(key=lambda entry: entry[0] == OTHER)
    return tuple(role for role, _ in named), [path for _, path in named]


def _notes(lora: files.LoraFile) -> list[Note]:
    return [*(Note(f"{lora.name}: {note}") for note in lora.notes), *report.left_out(lora.name, lora.left)]
