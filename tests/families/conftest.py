"""`make test-families`: K-LoRA in the host's families of networks, in spellings, kinds and precisions.

In the host's interpreter alone, as the host lane. What ran is written to docs/COMPATIBILITY.md at the end.
"""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from tools.host.find import REPO, find_host

_HOST = find_host()
if _HOST is None or not _HOST.runs_here():
    collect_ignore_glob = ["test_*.py"]
else:
    from tools.host.inprocess import enter_host, load_pack

    enter_host()
    import torch

    torch.set_num_threads(1)

_ROWS: list[dict[str, object]] = []
RECORDED = REPO / "build" / "families.json"


@pytest.fixture
def record():
    """``record(part=..., family=..., ...)``: a row of the table, once the test has passed that far."""
    return lambda **row: _ROWS.append(row)


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack, imported as the host imports a folder of custom_nodes."""
    return load_pack()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Only a whole run that passed is kept: the table claims nothing else."""
    if exitstatus == 0 and not session.config.option.keyword and _ROWS:
        RECORDED.parent.mkdir(exist_ok=True)
        RECORDED.write_text(json.dumps(_ROWS, indent=1))
