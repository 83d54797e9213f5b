"""The page's maths, evaluated by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

EVALUATE = Path(__file__).with_name("evaluate.mjs")
OLDEST = 18


def why_not() -> str | None:
    """What is missing to run the page's modules, or None."""
    node = shutil.which("node")
    if node is None:
        return "node is not installed: the page's maths is not checked"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major = int(said.removeprefix("v").partition(".")[0])
    return None if major >= OLDEST else f"node {said} is older than {OLDEST}"


def evaluate(tasks: list[dict[str, Any]]) -> list[Any]:
    """Results of `tasks`, in order; infinities come back as text."""
    done = subprocess.run(
        ["node", str(EVALUATE)], input=json.dumps(tasks), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
