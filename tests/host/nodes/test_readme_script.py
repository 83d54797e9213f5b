"""The README's ten lines, run as they are there, against a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.host.shipped_runs import README_LORAS, SIDE, picture, tiny
from tools.host.find import REPO
from tools.workflows.shipped import api_path_of

ADDRESS = "http://127.0.0.1:8188"
"""Where the README's server listens."""


@pytest.fixture(scope="module")
def lines():
    """The only Python in the README."""
    (found,) = re.findall(r"```python\n(.*?)```", (REPO / "README.md").read_text(encoding="utf-8"), re.S)
    return found


def test_they_are_ten_and_need_no_package(lines):
    code = [line for line in lines.splitlines() if line.strip()]
    assert len(code) == 10
    assert [line for line in code if "import" in line] == ["import json", "import urllib.request"]
    assert ADDRESS in lines
    assert all(name in lines for name in README_LORAS)


def test_they_queue_a_workflow_with_their_changes(served, lines, tmp_path):
    name = re.search(r"workflows/api/([\w-]+)\.json", lines)[1]
    prompt = tiny(json.loads(api_path_of(name).read_text(encoding="utf-8")))
    # The same path from the folder that they run in, with a small model in it.
    (tmp_path / "workflows" / "api").mkdir(parents=True)
    (tmp_path / "workflows" / "api" / f"{name}.json").write_text(json.dumps(prompt), encoding="utf-8")
    # The test's server cannot have the README's port: it is reached as a proxy for that address.
    env = {**os.environ, "http_proxy": served.url, "no_proxy": ""}
    ran = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    run = served.wait(ran.stdout.strip())
    assert run.error is None, run.error
    kinds = {node["class_type"]: key for key, node in prompt.items()}
    document = run.outputs[kinds["KLoRAFuse"]]["klora"][-1]
    assert [lora["name"] for lora in document["loras"]] == list(README_LORAS)
    assert document["schedule"] == {"name": "s", "alpha": 1.5, "beta": 0.5, "balance": 0.3}
    assert picture(served, run, kinds["SaveImage"]).size == (SIDE, SIDE)


def test_a_schedule_may_be_its_bare_name(served):
    prompt = tiny(json.loads(api_path_of("k-lora-sd15").read_text(encoding="utf-8")))
    key = next(key for key, node in prompt.items() if node["class_type"] == "KLoRAFuse")
    inputs = prompt[key]["inputs"]
    for name in [name for name in inputs if name.startswith("schedule.")]:
        del inputs[name]
    inputs["schedule"] = "s*"
    run = served.run(prompt)
    assert run.error is None, run.error
    document = run.outputs[key]["klora"][-1]
    assert document["schedule"] == {"name": "s*", "alpha": 1.5, "beta": 1.3, "balance": 0.0}
