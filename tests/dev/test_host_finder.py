"""Where a ComfyUI is looked for, and that a wrongly named one is an error rather than skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.host.find import HostError, find_host


def comfyui(path: Path, venv: str | None = ".venv/bin/python") -> Path:
    for file in ["main.py", "comfy/sd.py", *([venv] if venv else [])]:
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).touch()
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path / "home"


def test_none_anywhere(tmp_path):
    assert find_host({}, tmp_path / "repo") is None


def test_order_of_places(tmp_path, home):
    second = comfyui(home / "ComfyUI")
    assert find_host({}, tmp_path / "repo").path == second
    first = comfyui(home / "comfy" / "ComfyUI")
    assert find_host({}, tmp_path / "repo").path == first
    around = comfyui(tmp_path / "mine")
    assert find_host({}, around / "custom_nodes" / "k-lora").path == around
    named = comfyui(tmp_path / "named")
    assert find_host({"COMFYUI_PATH": str(named)}, around / "custom_nodes" / "k-lora").path == named


def test_interpreter(tmp_path):
    host = comfyui(tmp_path / "host", venv="venv/Scripts/python.exe")
    env = {"COMFYUI_PATH": str(host)}
    assert find_host(env, tmp_path).python == host / "venv" / "Scripts" / "python.exe"
    mine = tmp_path / "python"
    mine.touch()
    assert find_host({**env, "COMFYUI_PYTHON": str(mine)}, tmp_path).python == mine


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"COMFYUI_PATH": "{}/nothing"}, "no ComfyUI is"),
        ({"COMFYUI_PATH": "{}/bare"}, "COMFYUI_PYTHON"),
        ({"COMFYUI_PATH": "{}/bare", "COMFYUI_PYTHON": "{}/gone"}, "not a file"),
    ],
)
def test_a_wrong_name_is_an_error(tmp_path, env, words):
    comfyui(tmp_path / "bare", venv=None)
    with pytest.raises(HostError, match=words):
        find_host({key: value.format(tmp_path) for key, value in env.items()}, tmp_path)
