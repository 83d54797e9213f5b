"""One node process that answers batch after batch: starting one costs more than most of what it is asked."""

from __future__ import annotations

import atexit
import json
import subprocess
import threading
from pathlib import Path
from typing import Any


class Node:
    """Node on a module that answers lines (lines.mjs): started when first asked, again where it has died."""

    def __init__(self, module: Path, seconds: float = 60) -> None:
        self.module = module
        self.seconds = seconds
        self.process: subprocess.Popen[str] | None = None
        atexit.register(self.close)

    def evaluate(self, tasks: list[dict[str, Any]]) -> list[Any]:
        """Results of ``tasks``, in order.

        Raises AssertionError with node's own words where a task fails or node ends, and if no answer comes in
        ``seconds``.
        """
        line = self._answer_to(json.dumps(tasks))
        if not line:
            raise AssertionError(f"node ended: {self.close() or f'no answer in {self.seconds} s'}")
        told = json.loads(line)
        assert "error" not in told, told["error"]
        return told["results"]

    def _answer_to(self, line: str) -> str:
        process = self._running()
        assert process.stdin and process.stdout
        late = threading.Timer(self.seconds, process.kill)
        late.start()
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return process.stdout.readline()
        except BrokenPipeError:
            return ""
        finally:
            late.cancel()

    def _running(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            self.close()
            pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
            self.process = subprocess.Popen(["node", str(self.module)], encoding="utf-8", **pipes)
        return self.process

    def close(self) -> str:
        """Ends node; what it complained of."""
        if self.process is None:
            return ""
        process, self.process = self.process, None
        process.kill()
        _, complaints = process.communicate()
        return complaints
