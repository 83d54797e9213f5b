"""Checks as processes: each with a limit, all within a budget. Needs no host and no torch."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.host.find import REPO

from .rows import FAILED, SKIPPED, Row

LEAST = 10.0
"""Seconds; with less of the budget left no check is begun."""

_END = None
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Unsupported|Interrupt)\b")


@dataclass(frozen=True)
class Check:
    """One process: its name, what it asks, seconds that it may take, GiB of GPU memory that it needs."""

    name: str
    asks: str
    limit: float
    gib: float = 0.0


@dataclass
class Answer:
    """The rows of a check so far."""

    check: Check
    rows: dict[str, Row] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Note a row, in the place of an earlier one about the same thing."""
        self.rows[row.what] = row


Command = Callable[[Check], Sequence[str]]


def run_all(
    checks: Sequence[Check],
    command: Command,
    budget: float,
    logs: Path,
    free_gib: float = float("inf"),
    least: float = LEAST,
) -> Iterator[Answer]:
    """The answer to each check, one after another, as it is done; nothing that a check does raises.

    A check may take its own limit and what is left of ``budget`` seconds. What it writes to standard error
    goes into ``logs``/NAME.log. KeyboardInterrupt ends the check in progress and is passed on.
    """
    logs.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + budget
    for check in checks:
        left = end - time.monotonic()
        if check.gib > free_gib:
            why = f"needs {check.gib:g} GiB of free GPU memory, {free_gib:.1f} are there"
            yield Answer(check, {check.asks: Row(check.asks, why, "", SKIPPED)})
        elif left < least:
            why = f"the {budget:.0f} s were spent"
            yield Answer(check, {check.asks: Row(check.asks, why, "", SKIPPED)})
        else:
            yield _run(check, command(check), left, budget, logs / f"{check.name}.log")


def _run(check: Check, command: Sequence[str], left: float, budget: float, log: Path) -> Answer:
    answer = Answer(check)
    limit = min(check.limit, left)
    start = time.monotonic()
    status = _listen(command, start + limit, log, answer.add)
    took = time.monotonic() - start
    if status is None and left < check.limit:
        answer.add(Row(check.asks, f"stopped after {took:.0f} s: the {budget:.0f} s were spent", "", SKIPPED))
    elif status is None:
        answer.add(Row(check.asks, f"stopped: no end after {took:.0f} s; see {log.name}", "", FAILED))
    elif status:
        answer.add(Row(check.asks, f"{_last_line(log)} (status {status}; see {log.name})", "", FAILED))
    elif not answer.rows:
        answer.add(Row(check.asks, "ended without an answer", "", FAILED))
    return answer


def _listen(command: Sequence[str], end: float, log: Path, add: Callable[[Row], None]) -> int | None:
    """The process's status, None where it had to be stopped."""
    lines: queue.Queue[str | None] = queue.Queue()
    with log.open("w") as errors:
        # A group of its own: compilers leave workers, which would hold the pipe open.
        process = subprocess.Popen(
            command, cwd=REPO, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(_END)

    threading.Thread(target=read, daemon=True).start()
    try:
        while process.poll() is None and time.monotonic() < end:
            _take(lines, add, wait=0.1)
        status = process.poll()
    finally:
        _stop(process)
    # What it said last; the pipe may never end where a worker has escaped.
    until = time.monotonic() + 1
    while time.monotonic() < until and _take(lines, add, wait=0.1):
        pass
    return status


def _take(lines: queue.Queue[str | None], add: Callable[[Row], None], wait: float) -> bool:
    """Note the next line's row, if it is one; False at the end of all lines."""
    try:
        line = lines.get(timeout=wait)
    except queue.Empty:
        return True
    if line is _END:
        return False
    if line.startswith("["):
        try:
            add(Row(*map(str, json.loads(line))))
        except (ValueError, TypeError):
            # A library's own words.
            return True
    return True


def _stop(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # All of them have gone.
            return
        finally:
            process.wait()
    elif process.poll() is None:
        process.kill()
        process.wait()


def _last_line(log: Path) -> str:
    """What it said of its end: the last exception's line, since torch writes advice below it."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if _EXCEPTION.match(line)]
    return (errors or lines or ["ended without a word"])[-1][:200]
