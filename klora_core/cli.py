"""The command line: what two LoRA files would do together, without a host and without a model."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import files, report
from .errors import KLoraError
from .methods.klora import GAMMA_MODES, SCHEDULES, KLora, make_schedule
from .methods.klora_scores import evidence_of
from .pairing import LAYERS, meet
from .plan import LoraInfo, Plan, make_plan
from .progress import check_steps, in_steps
from .roles import STYLE, SUBJECT
from .scoring import score

BAD_INPUT = 2
MAX_STEPS = 10_000
_ROLES = (SUBJECT, STYLE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Bad input gives 2 and one line on stderr."""
    try:
        options = _parser().parse_args(arguments)
        _report(options)
    except KLoraError as error:
        print("klora: " + " ".join(str(error).split()), file=sys.stderr)
        return BAD_INPUT
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise KLoraError(f"{message} (see: {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m klora_core", description="K-LoRA without a host.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    command = commands.add_parser(
        "report",
        help="which of two LoRAs works where and when",
        description="Which of two LoRAs works in which layer and step.",
        allow_abbrev=False,
    )
    add = command.add_argument
    add("subject", type=Path, metavar="SUBJECT.safetensors", help="LoRA of the person, animal or thing")
    add("style", type=Path, metavar="STYLE.safetensors", help="LoRA of the style, for the same base model")
    add("--steps", type=int, default=30, help="sampling steps (default: 30)")
    add(
        "--schedule",
        choices=SCHEDULES,
        default=SCHEDULES[0],
        help="s: subject first; s*: style at first",
    )
    add("--alpha", type=float, help="slope of the schedule (default: the paper's)")
    add("--beta", type=float, help="start of the schedule (default: the paper's)")
    add("--balance", type=float, default=0.0, help="-1 leans to the subject, 1 to the style (default: 0)")
    add("--gamma", choices=GAMMA_MODES, default=GAMMA_MODES[0], help="how the LoRAs are brought to one size")
    add("--layers", choices=LAYERS, default=LAYERS[0], help="which layers compete (default: all shared)")
    add("--json", type=Path, metavar="FILE", help="write the plan as JSON")
    add("--plot", type=Path, metavar="FILE.png", help="draw the plan")
    return parser


def _report(options: argparse.Namespace) -> None:
    check_steps(options.steps)
    if options.steps > MAX_STEPS:
        raise KLoraError(f"steps must be at most {MAX_STEPS}, got {options.steps}.")
    schedule = make_schedule(options.schedule, options.alpha, options.beta, options.balance)
    loras = files.read_pair(options.subject, options.style)
    rows = meet([lora.slots for lora in loras], _ROLES, options.layers)
    evidence = evidence_of(rows.competing, _ROLES, score, [lora.name for lora in loras])
    plan = make_plan(
        rows,
        [LoraInfo(lora.name, role) for lora, role in zip(loras, _ROLES, strict=True)],
        KLora(schedule, options.gamma, _ROLES, evidence),
        notes=[note for lora in loras for note in _notes(lora)],
    )
    # The files first: after a failure to write, nothing is half done on stdout.
    if options.json:
        _write(options.json, plan.dumps(options.steps))
    if options.plot:
        _plot(options.plot, plan, options.steps)
    print(report.text(plan, in_steps(options.steps)))


def _notes(file: files.LoraFile) -> list[str]:
    notes = []
    if file.text_encoder:
        notes.append(
            f"{file.name}: text-encoder layers, {len(file.text_encoder)} in all; K-LoRA concerns the "
            f"diffusion model alone: {report.abbreviated(file.text_encoder)}"
        )
    for reason, count in Counter(item.reason for item in file.skipped).items():
        examples = report.abbreviated([item.name for item in file.skipped if item.reason == reason])
        notes.append(f"{file.name}: {count} left out ({reason}): {examples}")
    return notes


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise KLoraError(_unwritable(path, error)) from error


def _plot(path: Path, plan: Plan, steps: int) -> None:
    try:
        from .picture import draw
    except ImportError as error:
        raise KLoraError(f"--plot needs Pillow ({error}): pip install Pillow.") from error
    try:
        draw(plan, in_steps(steps)).save(path)
    except OSError as error:
        raise KLoraError(_unwritable(path, error)) from error
    except ValueError as error:
        raise KLoraError(f"can't draw {path}: {error}. Give a file name that ends in .png.") from error


def _unwritable(path: Path, error: OSError) -> str:
    return f"can't write {path}: {error.strerror or error}. Choose a folder that exists and is writable."
