"""The command line: what LoRA files would do together, or merged, without a host and without a model."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import KLoraError

BAD_INPUT, INTERRUPTED, NO_READER = 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Bad input gives 2 and one line on stderr, Ctrl-C 130 and one."""
    try:
        options = _parser().parse_args(arguments)
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except KLoraError as error:
        print("klora: " + " ".join(str(error).split()), file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("klora: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads stdout has gone; at the exit Python would flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise KLoraError(f"{message} (see: {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    # Here, because they take torch with them, which takes seconds to import: Ctrl-C counts then too.
    from . import merge, report, unziplora

    parser = _Parser(prog="python -m klora_core", description="K-LoRA without a host.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for command in (report, merge, unziplora):
        command.add_parser(commands).set_defaults(run=command.run)
    return parser
