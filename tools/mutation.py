"""`python -m tools.mutation [MODULE...]`: the table of what `make mutation` found; of modules, the survivors.

Reads mutmut's own folder, which git ignores. Survivors that only loosen `zip(..., strict=True)` are counted
apart: a guard against mistakes in this very code, which no right input meets.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from .host.find import REPO

FOLDER = REPO / "mutants"
KILLED, SURVIVED, UNTESTED = (1, 3), 0, 33
HEAD = ("module", "mutants", "killed", "timed out", "strict= alone", "other survivors", "not run")


def found(meta: Path) -> dict[str, int | None]:
    """Exit status by mutant, None for one that was not run."""
    return json.loads(meta.read_text())["exit_code_by_key"]


def functions(path: Path) -> dict[str, list[str]]:
    """The lines of every function of a mutated file, by name."""
    text = path.read_text()
    lines = text.splitlines()
    return {
        node.name: lines[node.lineno - 1 : node.end_lineno]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }


def changes(bodies: dict[str, list[str]], mutant: str) -> list[str]:
    """The lines that a mutant changes, - before and + after."""
    name = mutant.rsplit(".", 1)[-1]
    before, after = (bodies.get(n, []) for n in (re.sub(r"\d+$", "orig", name), name))
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    return [line for line in lines if line[0] in "+-" and "__mutmut_" not in line]


def loosens_zip(lines: list[str]) -> bool:
    """Whether a change is to a `strict=` and nothing else."""
    texts = ["".join(line[1:] for line in lines if line[0] == sign) for sign in "-+"]
    bare = [re.sub(r",?\s*strict=(True|False|None)|,\s*(?=\))|\s", "", text) for text in texts]
    return bare[0] == bare[1] and "strict=True" in texts[0]


def row(meta: Path) -> tuple[str, ...]:
    """A module's line of the table."""
    status, bodies = found(meta), functions(meta.with_suffix(""))
    survivors = [m for m, code in status.items() if code in (SURVIVED, UNTESTED)]
    strict = sum(loosens_zip(changes(bodies, m)) for m in survivors)
    killed = sum(code in KILLED for code in status.values())
    left = sum(code is None for code in status.values())
    late = len(status) - killed - left - len(survivors)
    name = meta.with_suffix("").relative_to(FOLDER / "klora_core").as_posix()
    return name, *map(str, (len(status), killed, late, strict, len(survivors) - strict, left))


def survivors(meta: Path) -> Iterator[str]:
    """The survivors that do more than loosen a zip, with what they change."""
    bodies = functions(meta.with_suffix(""))
    for mutant, code in found(meta).items():
        lines = changes(bodies, mutant)
        if code in (SURVIVED, UNTESTED) and not loosens_zip(lines):
            yield "\n".join([mutant + ("" if code == SURVIVED else " (no test)"), *lines])


def main(modules: list[str]) -> None:
    """The table, or the survivors of the ``modules`` (``apply/hooks.py``)."""
    metas = [FOLDER / "klora_core" / f"{module}.meta" for module in modules]
    if metas:
        print("\n".join(text for meta in metas for text in survivors(meta)))
        return
    print("| " + " | ".join(HEAD) + " |\n|---" + "|---:" * (len(HEAD) - 1) + "|")
    for meta in sorted((FOLDER / "klora_core").rglob("*.meta")):
        if any(code is not None for code in found(meta).values()):
            print("| " + " | ".join(row(meta)) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
