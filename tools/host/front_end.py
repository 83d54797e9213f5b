"""The host's page as another version than the host pins: the newest that the package registry has."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from .find import REPO, HostError

PACKAGE = "comfyui-frontend-package"
NEWEST = "newest"
_FOLDER = REPO / "build" / "front-ends"
_PAGE = Path("comfyui_frontend_package") / "static"


def named() -> str:
    """What KLORA_FRONTEND asks for: `newest`, a version, or nothing, which is the host's own."""
    return os.environ.get("KLORA_FRONTEND", "").strip()


def root(version: str) -> Path:
    """The folder of a version's page, fetched once; for `newest` the registry is asked each time.

    Raises HostError where it can't be had.
    """
    wheels = _FOLDER / version
    if version == NEWEST or not any(wheels.glob("*.whl")):
        _fetch(version, wheels)
    wheel = max(wheels.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    page = _FOLDER / wheel.stem / _PAGE
    if not (page / "index.html").is_file():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(_FOLDER / wheel.stem)
    return page


def _fetch(version: str, folder: Path) -> None:
    wanted = PACKAGE if version == NEWEST else f"{PACKAGE}=={version}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--dest", str(folder), wanted], capture_output=True, text=True)
    if done.returncode and not any(folder.glob("*.whl")):
        raise HostError(f"{wanted} can't be had here: {done.stderr.strip().splitlines()[-1]}")
