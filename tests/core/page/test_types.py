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


def test_what_all_methods_share_names_none():
    js = REPO / "web" / "js"
    shared = [path for room in ("decision", "view") for path in sorted((js / room).rglob("*.js"))]
    assert len(shared) > 10
    for path in shared:
        text = path.read_text(encoding="utf-8")
        for word in ("gamma", "rho", "balance", "K-LoRA", "app."):
            assert word not in text, (path, word)
