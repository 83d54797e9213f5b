"""`make bench-gpu` without a GPU: fakes that fail, hang and overrun, and what it reads made up."""

from __future__ import annotations

import ast
import json
import sys
import time
import warnings
from pathlib import Path

import pytest

from bench.gpu import __main__ as command
from bench.gpu import child, page, syncs
from bench.gpu.rows import FAILED, MISSED, OK, SKIPPED, Row, bounded, same_latents
from bench.gpu.runner import Check, run_all

pytestmark = pytest.mark.slow

REPO = Path(command.__file__).parents[2]

FAKES = {
    "good": """
        print('[a library] says "hello"')
        print('["what", "interim", "most 3", "missed"]')
        print('["what", "final", "most 3", "ok"]')
        """,
    "fails": """
        print('["before", "known", "", ""]', flush=True)
        import atexit, sys
        atexit.register(lambda: print('You can set A_VARIABLE to see more', file=sys.stderr))
        raise ValueError('the | reason')
        """,
    "hangs": """
        import subprocess, sys, time
        print('["before", "known", "", ""]', flush=True)
        # A worker that holds the pipe open, as compilers' do.
        worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
        print('["worker", str(worker.pid)]'.replace('str(worker.pid)', f'"{worker.pid}"'), flush=True)
        time.sleep(60)
        """,
    "silent": "",
    "leaves": """
        import subprocess, sys
        subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
        print('["what", "done", "", "ok"]', flush=True)
        """,
}


def fake(check: Check) -> list[str]:
    code = "\n".join(line.strip() for line in FAKES[check.name].splitlines())
    return [sys.executable, "-S", "-c", code]


def answers(tmp_path, *checks, budget=60.0, free=8.0, least=0.0):
    return list(run_all(checks, fake, budget, tmp_path, free, least))


def rows(answer) -> dict[str, tuple[str, str]]:
    return {row.what: (row.found, row.verdict) for row in answer.rows.values()}


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "zombie" not in status.read_text()


def test_a_check_that_fails_or_hangs_costs_its_own_rows(tmp_path):
    start = time.monotonic()
    good, bad, hung, silent, left, last = answers(
        tmp_path,
        Check("good", "Good?", 30),
        Check("fails", "Fails?", 30),
        Check("hangs", "Hangs?", 3),
        Check("silent", "Silent?", 30),
        Check("leaves", "Leaves?", 30),
        Check("good", "Still?", 30),
    )
    assert time.monotonic() - start < 40, "a worker that was left holds the run"
    assert rows(good) == rows(last) == {"what": ("final", OK)}
    assert rows(left) == {"what": ("done", OK)}
    assert rows(bad) == {
        "before": ("known", ""),
        "Fails?": ("ValueError: the | reason (status 1; see fails.log)", FAILED),
    }
    assert rows(hung)["before"] == ("known", "")
    assert rows(hung)["Hangs?"] == ("stopped: no end after 3 s; see hangs.log", FAILED)
    assert not alive(int(hung.rows["worker"].found))
    assert rows(silent) == {"Silent?": ("ended without an answer", FAILED)}
    assert page.failed([bad]) and page.failed([hung]) and page.failed([silent]) and not page.failed([good])


def test_the_budget_ends_what_runs_and_skips_the_rest(tmp_path):
    hung, rest = answers(
        tmp_path, Check("hangs", "Hangs?", 30), Check("good", "Rest?", 30), budget=2.0, least=0.5
    )
    assert rows(hung)["Hangs?"] == ("stopped after 2 s: the 2 s were spent", SKIPPED)
    assert rows(rest) == {"Rest?": ("the 2 s were spent", SKIPPED)}
    assert not page.failed([hung, rest])


def test_a_check_that_does_not_fit_the_card(tmp_path):
    (answer,) = answers(tmp_path, Check("good", "Big?", 30, gib=34), free=23.5)
    assert rows(answer) == {"Big?": ("needs 34 GiB of free GPU memory, 23.5 are there", SKIPPED)}


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """The whole command with fakes: `machine(card, names)` -> (status, page or None)."""

    class Host:
        python = sys.executable

    def go(card, *names):
        facts = {"card": card, "torch": "9.9", "driver": "555.1", "free": "7.5"}
        monkeypatch.setattr(command, "require_host", Host)
        monkeypatch.setattr(command, "machine_facts", lambda python: facts)
        monkeypatch.setattr(command, "CHECKS", tuple(Check(name, f"{name}?", 30) for name in names))
        monkeypatch.setattr(command, "child_command", lambda python, rehearse: fake)
        monkeypatch.setattr(command, "RESULTS", tmp_path / "GPU.md")
        monkeypatch.setattr(command, "LOGS", tmp_path)
        status = command.main([])
        found = tmp_path / "GPU.md"
        return status, found.read_text() if found.exists() else None

    return go


def test_the_page_and_the_exit_status(machine):
    status, text = machine("Card, 8 GiB", "good", "fails")
    assert status == 1
    assert "card Card, 8 GiB; torch 9.9; driver 555.1. " in text
    assert "1 ok, 0 missed, 1 FAILED, 0 skipped, 1 told." in text
    assert "| what | final | most 3 | ok |" in text
    assert r"| fails? | ValueError: the \| reason (status 1; see fails.log) |  | FAILED |" in text
    assert machine("Card, 8 GiB", "good")[0] == 0


def test_without_a_gpu_one_line_and_no_page(machine, capsys):
    assert machine("", "fails") == (0, None)
    said = capsys.readouterr().out
    assert said == "bench-gpu: no GPU: torch 9.9 of the host finds no CUDA device; nothing measured.\n"


def test_every_check_has_a_function():
    assert sorted(check.name for check in command.CHECKS) == sorted(child.CHECKS)
    for place in child.CHECKS.values():
        module, function = place.split(":")
        tree = ast.parse((REPO / "bench" / "gpu" / "checks" / f"{module}.py").read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


@pytest.mark.parametrize(
    ("ours", "bare", "effect", "verdict"),
    [
        (0.0, 0.0, 0.1, OK),
        (0.03, 0.02, 0.5, OK),
        (0.05, 0.02, 0.5, FAILED),
        (0.0, 0.1, 0.3, FAILED),
        (float("nan"), 0.0, 0.5, FAILED),
        (0.0, float("nan"), 0.5, FAILED),
    ],
    ids=["equal", "as much noise", "more noise", "the noise hides the effect", "NaN", "bare is NaN"],
)
def test_latents_are_right_within_the_noise(ours, bare, effect, verdict):
    assert same_latents("latents", ours, bare, effect).verdict == verdict


def test_an_aim():
    assert bounded("ratio", 1.03, 1.03, "1.030") == Row("ratio", "1.030", "at most 1.03", OK)
    assert bounded("ratio", 1.04, 1.03, "1.040").verdict == MISSED


def _warned_in(path: str) -> None:
    exec(compile("import warnings\nwarnings.warn('called a synchronizing CUDA operation')", path, "exec"))  # noqa: S102


def test_waits_are_counted_by_the_file_that_waits():
    clock, buffers = (str(REPO / "klora_core" / "apply" / name) for name in ("clock.py", "buffers.py"))
    with syncs.waits() as found:
        for path in (clock, clock, clock, "/host/comfy/samplers.py"):
            _warned_in(path)
        warnings.warn("something else", stacklevel=1)
    assert found == {clock: 3, "/host/comfy/samplers.py": 1}
    assert syncs.judged(found, 1, evaluations=2)[0]
    assert not syncs.judged(found, 1, evaluations=1)[0], "the clock reads twice"
    right, said = syncs.judged({clock: 2, buffers: 1}, 0, evaluations=2)
    assert not right and "klora_core/apply/buffers.py" in said


def test_uploads_in_a_trace():
    def copy(kind, size, microseconds):
        name = f"Memcpy HtoD ({kind} -> Device)"
        return {"ph": "X", "cat": "gpu_memcpy", "name": name, "dur": microseconds, "args": {"bytes": size}}

    events = [copy("Pinned", 1000, 2.0), copy("Pinned", 500, 1.0), copy("Pageable", 8, 4.0)]
    others = [{"ph": "M", "name": "process_name"}, {"name": "Memcpy DtoH (Device -> Pinned)", "dur": 1}, {}]
    found = syncs.uploads_in(json.loads(json.dumps({"traceEvents": [*events, *others]})))
    assert found == syncs.Uploads(pinned=2, pinned_bytes=1500, pinned_seconds=3e-6, pageable_bytes=8)
