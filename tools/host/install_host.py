"""`make host`: a ComfyUI by its own installer, comfy-cli, and this checkout among its custom nodes."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from .find import REPO, HostError, find_host

WORKSPACE = Path.home() / "comfy" / "ComfyUI"
_TOOL = REPO / "build" / "comfy-cli"
_SOURCE = "https://github.com/comfyanonymous/ComfyUI"
_TIMEOUT_S = 15


def _device() -> str:
    if platform.system() == "Darwin":
        return "--m-series"
    if shutil.which("nvidia-smi"):
        return "--nvidia"
    return "--amd" if shutil.which("rocm-smi") else "--cpu"


def _check_network() -> None:
    try:
        with urllib.request.urlopen(_SOURCE, timeout=_TIMEOUT_S):
            return
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise HostError(
            f"ComfyUI can't be installed here: {_SOURCE} can't be reached ({reason}). Where it can, run this "
            f"again; or copy an installed ComfyUI to {WORKSPACE}, or name one in COMFYUI_PATH."
        ) from error


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command])
    if done.returncode:
        raise HostError(f"{' '.join(map(str, command))} failed with status {done.returncode}: see above.")


def _link() -> Path:
    """This checkout in custom_nodes; what lies there already stays."""
    link = WORKSPACE / "custom_nodes" / "k-lora"
    if not link.exists():
        link.symlink_to(REPO, target_is_directory=True)
    return link


def install() -> None:
    """comfy-cli into a folder of this checkout, ComfyUI by it, and the pack linked into that."""
    _check_network()
    if not (_TOOL / "bin").exists() and not (_TOOL / "Scripts").exists():
        _run(sys.executable, "-m", "venv", _TOOL)
    scripts = _TOOL / ("Scripts" if os.name == "nt" else "bin")
    _run(scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "comfy-cli")
    # Its question about telemetry is answered with no.
    start = (scripts / "comfy", "--skip-prompt", "--no-enable-telemetry", f"--workspace={WORKSPACE}")
    _run(*start, "install", _device())
    print(f"Installed in {WORKSPACE}, this checkout as {_link().relative_to(WORKSPACE)}.")
    print(f"The page: {' '.join(map(str, start))} launch")


def main() -> int:
    """Install unless a host is found; the exit status."""
    try:
        if host := find_host():
            print(f"There is a ComfyUI already: {host.path}")
            return 0
        install()
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
