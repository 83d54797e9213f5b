"""The script of docs/pick_and_learn.md, run as it stands, against a real server: two rounds, and the LoRA."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request

import pytest

from tests.support.host.shipped_runs import tiny
from tools.host.find import REPO
from tools.workflows.shipped import api_path_of

DOC = REPO / "docs" / "pick_and_learn.md"
RULES = "sum 0.7, sum 1/0.5, K-LoRA s -0.5, Arrow N"


@pytest.fixture(scope="module")
def script():
    (found,) = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.S)
    return found


def prompt_of(name):
    prompt = json.loads(api_path_of(name).read_text(encoding="utf-8"))
    pick = next(node["inputs"] for node in prompt.values() if node["class_type"] == "KLoRAPickAndLearn")
    # On the small SD1.5, whose LoRAs the script names.
    for node in prompt.values():
        if "ckpt_name" in node["inputs"]:
            node["inputs"]["ckpt_name"] = "v1-5-pruned-emaonly-fp16.safetensors"
    tiny(prompt)
    pick |= {"rules": RULES, "pictures": 2, "steps": 1, "learning_steps": 4}
    return prompt


def test_two_rounds(served, script, tmp_path):
    prompt = prompt_of("k-lora-pick")
    (tmp_path / "workflows" / "api").mkdir(parents=True)
    path = tmp_path / "workflows" / "api" / "k-lora-pick.json"
    path.write_text(json.dumps(prompt), encoding="utf-8")
    # The test's server cannot have the script's port: it is reached as a proxy for that address.
    env = {**os.environ, "http_proxy": served.url, "no_proxy": ""}
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900
    )
    assert ran.returncode == 0, ran.stderr
    *views, taken = ran.stdout.splitlines()
    assert len(views) == 8 and taken == "learned 2"
    place, address = views[0].split(" ")
    assert place == "1" and "subfolder=klora_picks&type=temp" in address
    with urllib.request.urlopen(address.replace("http://127.0.0.1:8188", served.url), timeout=30) as image:
        assert image.read(4) == b"\x89PNG"
