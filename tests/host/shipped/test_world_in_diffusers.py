"""The demo in this host and, by the development environment, in diffusers: one plan, the same latents."""

from __future__ import annotations

import subprocess

import pytest
import torch
from safetensors.torch import load_file

from tools.host.find import REPO
from world.demo import in_comfy as demo_comfy
from world.demo.__main__ import FILES
from world.demo.run import KLORA, LATENTS, PAIRS, SUM, key

PYTHON = REPO / ".venv" / "bin" / "python"


def _has_diffusers() -> bool:
    """By looking for them: importing takes seconds, of every process that collects this."""
    look = "import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))"
    return PYTHON.is_file() and not subprocess.run([PYTHON, "-c", look, "diffusers", "peft"]).returncode


@pytest.mark.skipif(not _has_diffusers(), reason="no diffusers in the development environment (make setup)")
def test_the_demo_is_the_same_with_and_without_a_host(tmp_path):
    here, there = tmp_path / "comfy", tmp_path / "diffusers"
    demo_comfy.run().save(here)
    subprocess.run([PYTHON, "-m", "world.demo.in_diffusers", str(there)], cwd=REPO, check=True)
    for folder in (here, there):
        # The sheet is drawn of what either leaves.
        left = {path.name for path in folder.iterdir()} | {"sheet.png"}
        assert left == FILES.keys(), "what make demo leaves, it names"
    for name in ("plan.json", "report.txt"):
        assert (here / name).read_text() == (there / name).read_text()
    ours, theirs = load_file(here / LATENTS), load_file(there / LATENTS)
    assert ours.keys() == theirs.keys()
    for name, found in ours.items():
        torch.testing.assert_close(found, theirs[name], rtol=0, atol=1e-3)
    for pair in PAIRS:
        assert (ours[key(pair, KLORA)] - ours[key(pair, SUM)]).abs().max() > 0.1
