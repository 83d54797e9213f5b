"""The command line: what LoRA files would do together, or merged, without a host and without a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import KLoraError
from . import merge as cli_merge
from . import report as cli_report

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Bad input gives 2 and one line on stderr."""
    try:
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except KLoraError as error:
        print("klora: " + " ".join(str(error).split()), file=sys.stderr)
        return BAD_INPUT


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise KLoraError(f"{message} (see: {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m klora_core", description="K-LoRA without a host.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for command in (cli_report, cli_merge):
        command.add_parser(commands).set_defaults(run=command.run)
    return parser
