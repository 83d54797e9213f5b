"""`make test-families`: K-LoRA in the host's families of networks, in spellings, kinds and precisions.

In the host's interpreter alone, as the host lane. What ran is written to docs/COMPATIBILITY.md at the end.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType

import pytest

from tools.host import REPO, find_host

_HOST = find_host()
if _HOST is None or not _HOST.runs_here():
    collect_ignore_glob = ["test_*.py"]
else:
    from tools.inprocess import enter_host

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
    name = str(REPO).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, REPO / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Only a whole run that passed is kept: the table claims nothing else."""
    if exitstatus == 0 and not session.config.option.keyword and _ROWS:
        RECORDED.parent.mkdir(exist_ok=True)
        RECORDED.write_text(json.dumps(_ROWS, indent=1))
