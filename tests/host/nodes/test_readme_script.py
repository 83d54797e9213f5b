"""The README's few lines of Python, run as they are there, against a real server."""

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
CHECKPOINT = "my_checkpoint.safetensors"


@pytest.fixture(scope="module")
def lines():
    """The only Python in the README."""
    (found,) = re.findall(r"```python\n(.*?)```", (REPO / "README.md").read_text(encoding="utf-8"), re.S)
    return found


def test_they_are_few_and_need_no_package(lines):
    code = [line for line in lines.splitlines() if line.strip()]
    assert len(code) == 14
    assert [line for line in code if "import" in line] == ["import json", "import urllib.request"]
    assert ADDRESS in lines
    assert all(name in lines for name in (*README_LORAS, CHECKPOINT))


def ran(served, lines, folder):
    """(what they print, the prompt), on a small model."""
    name = re.search(r"workflows/api/([\w-]+)\.json", lines)[1]
    prompt = tiny(json.loads(api_path_of(name).read_text(encoding="utf-8")))
    # The same path from the folder that they run in, with a small model in it.
    (folder / "workflows" / "api").mkdir(parents=True)
    (folder / "workflows" / "api" / f"{name}.json").write_text(json.dumps(prompt), encoding="utf-8")
    # The test's server cannot have the README's port: it is reached as a proxy for that address.
    env = {**os.environ, "http_proxy": served.url, "no_proxy": ""}
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), prompt


def test_they_print_what_the_server_refuses(served, lines, tmp_path):
    answer, _ = ran(served, lines, tmp_path)
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    assert CHECKPOINT in json.dumps(answer["node_errors"])


def test_they_queue_a_workflow_with_their_changes(served, lines, tmp_path):
    answer, prompt = ran(served, lines.replace(CHECKPOINT, "tiny-sd15.safetensors"), tmp_path)
    run = served.wait(answer["prompt_id"])
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
