"""Where a ComfyUI and its interpreter are found on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).absolute().parents[2]

LOOKED_IN = "COMFYUI_PATH, the folder that the pack is installed in, ~/comfy/ComfyUI, ~/ComfyUI"


class HostError(RuntimeError):
    """A host was named but can't be used."""


@dataclass(frozen=True)
class Host:
    """A ComfyUI checkout and the interpreter that runs it."""

    path: Path
    python: Path

    def runs_here(self) -> bool:
        """Whether this very process was started by the host's interpreter."""
        # Not samefile: every venv's python is a link to the same binary.
        return Path(sys.executable).absolute().parent == self.python.absolute().parent


def _is_comfyui(path: Path) -> bool:
    return (path / "main.py").is_file() and (path / "comfy" / "sd.py").is_file()


def _interpreter(path: Path, env: Mapping[str, str]) -> Path | None:
    named = env.get("COMFYUI_PYTHON")
    if named:
        python = Path(named).expanduser()
        if not python.is_file():
            raise HostError(f"COMFYUI_PYTHON names {python}, which is not a file.")
        return python
    candidates = [
        path / venv / tail for venv in (".venv", "venv") for tail in ("bin/python", "Scripts/python.exe")
    ]
    candidates.append(path.parent / "python_embeded" / "python.exe")
    return next((p for p in candidates if p.is_file()), None)


def find_host(env: Mapping[str, str] = os.environ, repo: Path = REPO) -> Host | None:
    """Return the first usable host of LOOKED_IN, or None; a named but unusable one is an error."""
    named = env.get("COMFYUI_PATH")
    if named:
        path = Path(named).expanduser().absolute()
        if not _is_comfyui(path):
            raise HostError(f"COMFYUI_PATH names {path}, where no ComfyUI is (main.py, comfy/sd.py).")
        candidates = [path]
    else:
        installed_in = [repo.parent.parent] if repo.parent.name == "custom_nodes" else []
        candidates = [*installed_in, Path.home() / "comfy" / "ComfyUI", Path.home() / "ComfyUI"]
    for path in filter(_is_comfyui, candidates):
        python = _interpreter(path, env)
        if python is not None:
            return Host(path, python)
        if named:
            raise HostError(f"{path} has no .venv: name its interpreter in COMFYUI_PYTHON.")
    return None


def require_host() -> Host:
    """Return the host, or fail saying where it was looked for."""
    host = find_host()
    if host is None:
        raise HostError(f"no ComfyUI with an interpreter found (looked in {LOOKED_IN}).")
    return host


def main(arguments: list[str]) -> int:
    """Print the host's folder, or with --python its interpreter; status 1 where there is none."""
    try:
        host = require_host()
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    print(host.python if "--python" in arguments else host.path)
    return 0
