"""What the pack calls of ComfyUI, listed, and held against the one that is here: part of `make lint`.

python -m tools.host.host_calls            check by comfy-import-guard; says so where there is no ComfyUI
python -m tools.host.host_calls --list     the names, one a line
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .find import REPO, find_host

RUNTIME = ("__init__.py", "nodes", "klora_core")
# Packages and modules at the top of ComfyUI that are its own.
HOST = (
    "comfy",
    "comfy_api",
    "comfy_execution",
    "folder_paths",
    "server",
    "nodes",
    "execution",
    "latent_preview",
)


def names(root: Path = REPO) -> list[str]:
    """Every name of ComfyUI that the pack's modules use: ``comfy.utils.load_torch_file``, sorted."""
    return sorted({name for path in _modules(root) for name in _used(ast.parse(path.read_text("utf-8")))})


def _modules(root: Path) -> Iterator[Path]:
    yield root / "__init__.py"
    yield from sorted((root / "nodes").rglob("*.py"))


def _used(tree: ast.Module) -> Iterator[str]:
    known = {}
    for node in ast.walk(tree):
        for local, meant, imported in _imports(node):
            if meant.split(".")[0] in HOST:
                known[local] = meant
                yield imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (chain := _chain(node)) and chain[0] in known:
            yield ".".join((known[chain[0]], *chain[1:]))


def _imports(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """(local name, what it stands for, what was imported) of each name that a statement imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.split(".")[0]
            yield alias.asname or top, alias.name if alias.asname else top, alias.name
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            yield alias.asname or alias.name, full, full


def _chain(node: ast.expr) -> list[str] | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else None


def check(host: Path) -> int:
    """The exit status of comfy-import-guard for the pack in the ComfyUI at ``host``; it reads git alone."""
    with tempfile.TemporaryDirectory() as folder:
        clone, pack = Path(folder) / "cache" / "ComfyUI", Path(folder) / "install" / "custom_nodes" / "k-lora"
        _commit(host, clone / ".git")
        pack.mkdir(parents=True)
        for part in RUNTIME:
            here = REPO / part
            shutil.copytree(here, pack / part) if here.is_dir() else shutil.copy(here, pack / part)
        command = [sys.executable, "-m", "comfy_import_guard.cli", "--quiet", "--offline"]
        command += ["--cache-dir", str(clone.parent), "check", "--comfy-dir", str(pack.parents[1])]
        return subprocess.run([*command, "--target", "HEAD", "--strict"]).returncode


def _commit(host: Path, git: Path) -> None:
    """One commit of the host's own modules in a new repository at ``git``."""
    git.parent.mkdir(parents=True)
    there = sorted(path.name for path in host.glob("*.py"))
    there += [
        name for name in ("comfy", "comfy_api", "comfy_execution", "comfy_extras") if (host / name).is_dir()
    ]
    own = {**os.environ, "GIT_DIR": str(git), "GIT_WORK_TREE": str(host)}
    for key in ("AUTHOR", "COMMITTER"):
        own |= {f"GIT_{key}_NAME": "host", f"GIT_{key}_EMAIL": "host@localhost"}
    for command in (
        ["init", "--quiet"],
        ["add", "--force", *there],
        ["commit", "--quiet", "--message", "host"],
    ):
        subprocess.run(["git", *command], env=own, cwd=host, check=True, stderr=subprocess.DEVNULL)


def main() -> int:
    """List, or check."""
    if sys.argv[1:] == ["--list"]:
        print("\n".join(names()))
        return 0
    host = find_host()
    if host is None:
        print("calls of ComfyUI not checked: no ComfyUI here")
        return 0
    return check(host.path)


if __name__ == "__main__":
    raise SystemExit(main())
