"""Every command of `python -m klora_core` that a paper shows, run as it stands there on small files."""

from __future__ import annotations

import re
import shlex

import pytest

from klora_core.cli import main
from tools.host.find import REPO

PAPERS = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "web/docs/*.md", "bench/*.md")
    for path in REPO.glob(pattern)
)
COMMAND = re.compile(r"`python -m klora_core ([^`]+)`|^python -m klora_core (.+)$", re.MULTILINE)
FIRST, SECOND = "cat.safetensors", "ink.safetensors"
PLACES = {
    "SUBJECT.safetensors": FIRST,
    "STYLE.safetensors": SECOND,
    "A": FIRST,
    "B": SECOND,
    "DIR": ".",
}
"""What stands for the reader's own."""
NEEDS_A_TRAINING = "unziplora"
"""Of a folder that only UnZipLoRA's own code leaves: test_unziplora runs it."""
SAID = [
    (path.name, " ".join(command.split()))
    for path in PAPERS
    for command in (one or other for one, other in COMMAND.findall(path.read_text(encoding="utf-8")))
]


def test_papers_show_commands():
    assert len(SAID) >= 4 and {command.split()[0] for _, command in SAID} == {
        "report",
        "merge",
        NEEDS_A_TRAINING,
    }


@pytest.mark.parametrize(("paper", "command"), SAID, ids=[f"{p}: {c}" for p, c in SAID])
def test_a_command_in_a_paper_runs(unet, paper, command, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [PLACES.get(word, word) for word in shlex.split(command)]
    if arguments[0] == NEEDS_A_TRAINING:
        with pytest.raises(SystemExit) as ended:
            main([arguments[0], "--help"])
        assert ended.value.code == 0
        return
    assert main(arguments) == 0, capsys.readouterr().err
    written = [after for word, after in zip(arguments, arguments[1:], strict=False) if word.startswith("-")]
    for name in (name for name in written if re.search(r"\.(png|json|safetensors)$", name)):
        assert (tmp_path / name).stat().st_size > 0, name
