"""`python -m tools.mutants [--living] [--seconds S] [--tests TESTS] [MUTANT...]`: runs mutants of klora_core.

mutmut makes the mutants, into mutants/, and notes which tests reach them. They run here: all tests are
collected once, each mutant is a process forked from that one, the tests that killed others of its function go
first, then those of its module, of its room and all others, the quick ones first, and one that fails ends it.
That is several mutants a second on an idle core. `tools.mutation` prints what was found.

A function that fills a table on import has run before a mutant can be switched on: no test reaches it. With
`--anew --tests tests/core/names` such mutants run in processes that import klora_core with them.
"""

from __future__ import annotations

import argparse
import fnmatch
import gc
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .host.find import REPO
from .mutation import FOLDER

KILLED, SURVIVED, LATE, UNTESTED = 1, 0, 36, 33
# Seconds of the processor that a mutant may take, beside ten times those of its tests without it; and how
# many times as long by the clock.
PATIENCE, BUSY = 10, 20
FRONT = 6
MAKE = """
from mutmut import __main__ as mutmut
mutmut.set_mutant_under_test("mutant_generation")
mutmut.copy_src_dir(), mutmut.copy_also_copy_files(), mutmut.create_mutants(1)
"""


class Loop:
    """A pytest plugin: in the place of the tests themselves, the tests for every mutant."""

    def __init__(self, names: Sequence[str], living: bool, limit: float) -> None:
        self.names, self.living, self.limit = names, living, limit

    def pytest_runtestloop(self, session: Any) -> bool:
        """Runs the mutants and writes what became of each."""
        reached, seconds = _aside(lambda: _reached(session.items))
        items, killers = {item.nodeid: item for item in session.items}, defaultdict[str, list[str]](list)
        found: Counter[int] = Counter()
        # Nothing of this is garbage: children would copy what the collector touches.
        gc.freeze()
        for meta, mutant in _todo(self.names, (SURVIVED, UNTESTED, LATE, None) if self.living else None):
            function = mutant.rsplit("__mutmut_", 1)[0]
            front = killers[function]
            near = {test: (_distance(function, test), seconds[test]) for test in reached.get(function, ())}
            tests, total = [], 0.0
            for test in dict.fromkeys([*front, *sorted(near, key=near.__getitem__)]):
                if total < self.limit:
                    tests.append(test)
                    total += seconds[test]
            code, killer = _outcome(mutant, [items[test] for test in tests], total)
            if killer is not None:
                front[:] = [tests[killer], *(test for test in front if test != tests[killer])][:FRONT]
            _write(meta, mutant, code)
            found[code] += 1
            _say(mutant, code)
        print(dict(found))
        return True


def _distance(function: str, test: str) -> int:
    """0 for a test of a function's module, 1 for one of its room, 2 for others: tests mirror the rooms."""
    _, room, *inner = function.split(".")[:-1]
    if not test.startswith(f"tests/core/{room}/"):
        return 2
    return 0 if inner and f"/test_{inner[-1]}.py" in test else 1


def _todo(names: Sequence[str], codes: Sequence[int | None] | None) -> list[tuple[Path, str]]:
    """The mutants of these names and exit statuses, all where None, with the files that tell of them."""
    return [
        (meta, mutant)
        for meta in sorted((FOLDER / "klora_core").rglob("*.meta"))
        for mutant, code in json.loads(meta.read_text())["exit_code_by_key"].items()
        if any(fnmatch.fnmatch(mutant, name) for name in names or ["*"]) and (codes is None or code in codes)
    ]


def _say(mutant: str, code: int) -> None:
    words = {SURVIVED: "alive", LATE: "late", UNTESTED: "no test"}.get(code)
    if words is not None:
        print(words, mutant, flush=True)


def _write(meta: Path, mutant: str, code: int) -> None:
    data = json.loads(meta.read_text())
    data["exit_code_by_key"][mutant] = code
    meta.write_text(json.dumps(data, indent=4))


def _reached(items: Sequence[Any]) -> tuple[dict[str, list[str]], dict[str, float]]:
    """The tests that reach each function, and the seconds that each takes. Raises where one fails."""
    from _pytest.runner import runtestprotocol
    from mutmut.mutation.trampoline import set_mutant_under_test
    from mutmut.state import state

    set_mutant_under_test("stats")
    reached, seconds = defaultdict(list), {}
    for item, following in zip(items, [*items[1:], None], strict=True):
        state()._stats.clear()
        start = time.process_time()
        if any(report.failed for report in runtestprotocol(item, nextitem=following, log=False)):
            raise SystemExit(f"{item.nodeid} fails without a mutant")
        seconds[item.nodeid] = time.process_time() - start
        for function in state()._stats:
            reached[function].append(item.nodeid)
    return dict(reached), seconds


def _aside(work: Any) -> Any:
    """What ``work`` gives, in a process of its own: it leaves nothing behind here."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            with os.fdopen(writing, "w") as pipe:
                json.dump(work(), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        raise SystemExit("the tests fail without a mutant")
    return json.loads(text)


def _outcome(mutant: str, items: Sequence[Any], seconds: float) -> tuple[int, int | None]:
    """(exit status, the number of the test that failed) of the tests ``items`` with a mutant."""
    from _pytest.runner import runtestprotocol
    from mutmut.mutation.trampoline import set_mutant_under_test

    if not items:
        return UNTESTED, None
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1), os.dup2(null, 2)
            for signalled in (signal.SIGPROF, signal.SIGALRM):
                signal.signal(signalled, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, PATIENCE + 10 * seconds)
            signal.alarm(int(BUSY * (PATIENCE + 10 * seconds)))
            set_mutant_under_test(mutant)
            for i, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
                if any(report.failed for report in runtestprotocol(item, nextitem=following, log=False)):
                    os.write(writing, str(i).encode())
                    os._exit(KILLED)
            os._exit(SURVIVED)
        finally:
            os._exit(KILLED)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        killer = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return LATE if code in (-signal.SIGPROF, -signal.SIGALRM) else abs(code), int(killer) if killer else None


def _anew(names: Sequence[str], arguments: Sequence[str]) -> int:
    """Runs mutants that no test reached, each in a process that has imported nothing of klora_core yet."""
    import numpy  # noqa: F401
    import pytest
    import torch  # noqa: F401

    def fails(mutant: str) -> bool:
        child = os.fork()
        if not child:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1), os.dup2(null, 2)
            os.environ["MUTANT_UNDER_TEST"] = mutant
            os._exit(bool(pytest.main(["-x", *arguments])))
        return bool(os.waitpid(child, 0)[1])

    if fails(""):
        raise SystemExit("the tests fail without a mutant")
    for meta, mutant in _todo(names, (UNTESTED,)):
        code = KILLED if fails(mutant) else SURVIVED
        _write(meta, mutant, code)
        _say(mutant, code)
    return 0


def main(arguments: Sequence[str]) -> int:
    """Makes what is missing of mutants/, then runs the mutants that are named, all where none is."""
    import pytest
    from hypothesis import HealthCheck, Phase, settings
    from mutmut.configuration import config

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--living", action="store_true", help="only those that no run has killed yet")
    parser.add_argument(
        "--seconds",
        type=float,
        default=math.inf,
        help="of tests for a mutant, the quickest first; default all",
    )
    parser.add_argument("--tests", action="append", help="run these alone of the tests")
    parser.add_argument("--anew", action="store_true", help="only those that no test reached, on import")
    parser.add_argument("mutants", nargs="*", metavar="MUTANT")
    wanted = parser.parse_args(arguments)
    subprocess.run([sys.executable, "-c", MAKE], cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    selection = wanted.tests or config().pytest_add_cli_args_test_selection
    chosen = ["--rootdir=.", "-q", "--tb=no", *config().pytest_add_cli_args, *selection]
    os.environ["MUTANT_UNDER_TEST"] = ""
    os.chdir(FOLDER)
    sys.path[:] = [str(FOLDER), *(path for path in sys.path if Path(path or REPO).resolve() != REPO)]
    # No shrinking: a mutant is dead at the first example that fails.
    settings.register_profile(
        "mutants",
        phases=(Phase.explicit, Phase.generate),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    if wanted.anew:
        return _anew(wanted.mutants, chosen)
    return int(pytest.main(["-s", *chosen], plugins=[Loop(wanted.mutants, wanted.living, wanted.seconds)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
