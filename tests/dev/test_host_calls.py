"""The list of what the pack calls of ComfyUI, the check of it, and what a ComfyUI that is too old is told."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from types import ModuleType

import pytest

from tools.host.find import REPO
from tools.host.host_calls import HOST, check, names

pytestmark = pytest.mark.slow


def test_names_of_the_host_are_found():
    found = names()
    assert {"comfy.utils.load_torch_file", "comfy_api.latest.io", "folder_paths.get_full_path"} <= set(found)
    assert all(name.split(".")[0] in HOST for name in found)


def test_names_behind_aliases(tmp_path):
    (tmp_path / "nodes").mkdir()
    (tmp_path / "__init__.py").write_text("import comfy.sd as sd\nfrom .nodes import comfy\nimport json\n")
    (tmp_path / "nodes" / "a.py").write_text("from comfy import ops as o\nx = o.cast(y.z)\nsd.load(1)\n")
    assert names(tmp_path) == ["comfy.ops", "comfy.ops.cast", "comfy.sd"]


def host(folder, source):
    """A host whose comfy/utils.py is ``source``, with nothing else that the pack asks for."""
    (folder / "comfy").mkdir()
    (folder / "comfy" / "utils.py").write_text(source)
    (folder / "main.py").touch()
    return folder


def test_a_host_without_what_is_called_fails_the_check(tmp_path, capfd):
    assert check(host(tmp_path, "def load_torch_file(path):\n    pass\n")) == 1
    said = capfd.readouterr().out
    assert "WILL BREAK" in said and "comfy.lora_convert" in said


def door():
    spec = importlib.util.spec_from_file_location("a_pack", REPO / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", ["0.7.0", "0.32.9", "0.3.40"])
def test_a_host_that_is_too_old_gets_one_line(monkeypatch, caplog, version):
    found = ModuleType("comfyui_version")
    found.__version__ = version
    monkeypatch.setitem(sys.modules, "comfyui_version", found)
    module = door()
    wanted = f"K-LoRA needs ComfyUI 0.33.0 or newer, this is {version}: update ComfyUI."
    assert [record.message for record in caplog.records] == [wanted], "without V3 nobody else would say it"
    with pytest.raises(RuntimeError, match="^K-LoRA needs ComfyUI") as raised:
        asyncio.run(module.comfy_entrypoint())
    assert str(raised.value) == wanted


def test_a_host_that_is_new_enough_gets_none(monkeypatch, caplog):
    found = ModuleType("comfyui_version")
    found.__version__ = "0.33.0"
    monkeypatch.setitem(sys.modules, "comfyui_version", found)
    assert door()._too_old() is None and not caplog.records
    found.__version__ = "1.0"
    assert door()._too_old() is None


def test_the_oldest_host_is_the_published_one():
    needed = ".".join(map(str, door().OLDEST_HOST))
    assert f'requires-comfyui = ">={needed}"' in (REPO / "pyproject.toml").read_text(encoding="utf-8")
