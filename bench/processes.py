"""A case of ``bench.in_host`` as a process of the host's interpreter. Needs no host to import."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

from tools.host.find import REPO

from .tables import Table


def in_host(python: str, case: str) -> Iterator[Table]:
    """The tables of a case of ``bench.in_host``, each as it is done."""
    with subprocess.Popen(
        [python, "-m", "bench.in_host", case], cwd=REPO, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield Table.from_json(json.loads(line))
    if process.returncode:
        raise SystemExit(f"bench.in_host {case} ended with status {process.returncode}")
