"""The page's JavaScript has the types that it says it has."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tools.host.find import REPO

pytestmark = pytest.mark.slow

TSC = REPO / "node_modules" / ".bin" / "tsc"


def test_web_js_is_well_typed():
    if shutil.which("node") is None or not TSC.exists():
        pytest.skip("TypeScript is not installed: make lint-js does it, where npm is")
    done = subprocess.run(
        [str(TSC), "--pretty", "false"], cwd=REPO, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_only_the_host_s_room_imports_from_the_host_and_only_methods_name_one():
    found = {
        path.relative_to(REPO / "web" / "js"): path.read_text(encoding="utf-8")
        for path in (REPO / "web" / "js").rglob("*.js")
    }
    assert len(found) > 20
    for path, text in found.items():
        room = path.parts[0]
        assert ("/scripts/" in text) == (str(path) == "host/comfy.js"), path
        if room in ("decision", "view"):
            assert "'../host/" not in text and "'../methods/" not in text.replace(
                "import('../methods/", ""
            ), path
            for word in ("gamma", "rho", "balance", "K-LoRA", "app."):
                assert word not in text, (path, word)
