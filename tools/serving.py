"""A ComfyUI server for tests and pictures: in a folder of its own, with this pack and tiny models in it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import tiny
from .host.find import REPO, require_host
from .host.server import Server

PACK_FOLDER = "k-lora"


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:  # Windows without the right to make links
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(".venv", ".git", "build", "demo"))
        else:
            shutil.copy2(source, target)


def make_base(base: Path, models: Path, extra_nodes: Iterable[Path] = ()) -> None:
    """Lay out a ComfyUI base directory: the pack, further node folders or files, and the models."""
    for folder in ("custom_nodes", "input", "output", "user"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    _link(REPO, base / "custom_nodes" / PACK_FOLDER)
    for source in extra_nodes:
        _link(source.absolute(), base / "custom_nodes" / source.name)
    for source in models.glob("*/*.safetensors"):
        folder = base / "models" / source.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        _link(source.absolute(), folder / source.name)


@contextlib.contextmanager
def serving(
    *families: str,
    extra_nodes: Iterable[Path] = (),
    loras: Path | None = None,
    models: Path = tiny.MODELS_DIR,
    front_end: Path | None = None,
) -> Iterator[Server]:
    """A server with the pack, the named tiny families' models or those of another models folder, a folder's
    LoRA files, and the page of another folder than the host's; gone afterwards.
    """
    host = require_host()
    tiny.build_with(host, *families)
    with tempfile.TemporaryDirectory(prefix="klora-") as folder:
        base = Path(folder)
        make_base(base, models, extra_nodes)
        # The picture that every ComfyUI comes with; copied, since the host opens no link out of its folder.
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(host.path / "input" / "example.png", base / "input")
        for source in loras.iterdir() if loras else ():
            _link(source.absolute(), base / "models" / "loras" / source.name)
        with Server(host, base, front_end) as server:
            yield server
