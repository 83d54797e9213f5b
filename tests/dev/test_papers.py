"""The papers (changelog, citation, contributing, security, issue form) say what is in the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml  # with diffusers' requirements
from PIL import Image

from klora_core import __version__
from klora_core.methods.klora import KLora

from .test_registry import PROJECT, git_files

REPO = Path(__file__).parents[2]
PAPERS = tuple(
    path.relative_to(REPO).as_posix()
    for pattern in ("*.md", "docs/*.md", "bench/*.md", "world/*.md", "web/docs/**/*.md")
    for path in sorted(REPO.glob(pattern))
)
HELP = REPO / "web" / "docs"
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
# A folder's or a file's path in quotes, no schema, or a file by its name alone.
PATH = re.compile(r"`((?!klora-\w+/\d)[\w.-]+/[\w./-]*|[\w-]+\.(?:py|js|md|json|cff))`")
TARGET = re.compile(r"`make ([\w-]+)|^make ([\w-]+)$", re.MULTILINE)
# What is made by a command, or belongs to the host.
ELSEWHERE = {
    *("demo/", "build/world/"),
    *("models/checkpoints", "models/loras", "custom_nodes/k-lora", "user/__klora", "__klora/scores.bin"),
}


def text(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def of_yaml(name: str) -> Any:
    return yaml.safe_load(text(name))


CITATION = of_yaml("CITATION.cff")


def product() -> Iterator[str]:
    """Every Python file that users run."""
    for folder in ("klora_core", "nodes"):
        for path in sorted((REPO / folder).glob("**/*.py")):
            yield path.read_text(encoding="utf-8")


def test_the_help_s_pictures_are_no_wider_than_twice_the_help() -> None:
    """The page shows help at 260; what is larger than twice that has letters there that nobody can read."""
    widths = {}
    for path in sorted((HELP / "img").iterdir()):
        with Image.open(path) as picture:
            widths[path.name] = picture.width
    assert widths and max(widths.values()) <= 2 * 260, widths


def test_one_version_everywhere() -> None:
    numbered = re.findall(r"^## (\d+\.\d+\.\d+)", text("CHANGELOG.md"), re.MULTILINE)
    assert PROJECT["project"]["version"] == __version__ == CITATION["version"] == numbered[0]
    assert numbered == sorted(set(numbered), key=lambda number: [*map(int, number.split("."))], reverse=True)


def test_the_changelog_names_all_that_is_public_beside_the_nodes() -> None:
    public = re.compile(r"\bKLORA_[A-Z]+_[A-Z_]+\b|\bklora-[a-z]+/\d+|\bklora_merge\b|(?<=\")/klora/[a-z]+")
    named = {name for code in product() for name in public.findall(code)}
    assert named >= {"KLORA_SCORES_ON_DISK", "klora-plan/1", "klora_merge", "/klora/sets"}
    promise = text("CHANGELOG.md").partition("## Unreleased")[0]
    assert [name for name in sorted(named) if name not in promise] == []


@pytest.mark.parametrize("paper", PAPERS)
def test_every_path_in_a_paper_exists(paper: str) -> None:
    said = set(LINK.findall(text(paper))) | set(PATH.findall(text(paper)))
    names = {Path(name).name for name in git_files()}
    # The page shows help of any language from one folder.
    here = HELP if HELP in (REPO / paper).parents else (REPO / paper).parent
    gone = [p for p in said - ELSEWHERE if not ((here / p).exists() or (REPO / p).exists() or p in names)]
    assert gone == []


def test_the_papers_say_paths() -> None:
    assert {"README.md", "docs/pick_and_learn.md", "web/docs/KLoRAFuse/zh.md"} <= set(PAPERS)
    assert all(
        PATH.search(text(name)) and LINK.search(text(name)) for name in ("README.md", "CONTRIBUTING.md")
    )
    assert LINK.search(text("web/docs/KLoRAFuse/zh.md"))
    others = [
        "CHANGELOG.md",
        "SECURITY.md",
        "docs/WHAT_IT_DECIDES.md",
        "docs/diffusers.md",
        "world/README.md",
    ]
    assert all(PATH.search(text(name)) or LINK.search(text(name)) for name in others)


def test_the_readme_begins_with_what_it_does_one_picture_and_three_steps() -> None:
    before, _, after = text("README.md").partition("\n## Three steps\n")
    assert "without training" in before and "One dial instead of two strengths" in before
    assert len(re.findall(r"^!\[", before, re.MULTILINE)) == 1 and "\n#" not in before
    steps, _, rest = after.partition("\n## What to try when\n")
    assert re.findall(r"^(\d)\. ", steps, re.MULTILINE) == ["1", "2", "3"]
    assert rest.lstrip().startswith("| You see | Try |")


def test_the_readme_s_by_hand_gets_this_pack_into_the_folder_that_it_names() -> None:
    ((address, folder),) = re.findall(r"^git clone --depth 1 (\S+) (\S+)$", text("README.md"), re.MULTILINE)
    assert address == PROJECT["project"]["urls"]["Repository"]
    assert f"`custom_nodes/{folder}`" in text("README.md")
    assert f"search for **{PROJECT['tool']['comfy']['DisplayName']}**" in text("README.md")
    oldest = PROJECT["tool"]["comfy"]["requires-comfyui"].removeprefix(">=").removesuffix(".0")
    assert f"({oldest} or newer)" in text("README.md") and f"needs ComfyUI {oldest} or newer" in text(
        "README.md"
    )


def test_the_readme_says_each_limit_once() -> None:
    readme = text("README.md")
    limits = re.findall(r"^- \*\*(.+?)\*\*", readme.partition("\n## Limits\n")[2].partition("\n## ")[0], re.M)
    assert len(limits) > 4 and [name for name in limits if readme.count(name) != 1] == []


@pytest.mark.parametrize(
    "about",
    [
        "Which template is for me",
        "does not show up",
        "do I update",
        "do I uninstall",
        "VRAM and time",
        "LoRAs that",
    ],
)
def test_the_readme_answers(about: str) -> None:
    questions = text("README.md").partition("\n## Questions\n")[2].partition("\n## ")[0]
    asked = re.findall(r"^\*\*(.+?)\*\*", questions, re.MULTILINE)
    assert any(about in question for question in asked)


def test_every_template_that_the_readme_advises_is_there() -> None:
    table = text("README.md").partition("**Which template is for me?**")[2].partition("\n**")[0]
    advised = set(re.findall(r"\b\d{2}\b", table))
    assert len(advised) > 15 and advised == {path.name[:2] for path in (REPO / "workflows").glob("*.json")}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_heading_that_a_paper_points_to_is_there(paper: str) -> None:
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", text(paper)):
        target = (REPO / paper).parent / file if file else REPO / paper
        heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
        assert anchor in slugs, f"{paper}: {file}#{anchor}"


@pytest.mark.parametrize("paper", ["CONTRIBUTING.md", "README.md", "world/README.md"])
def test_every_make_target_in_a_paper_exists(paper: str) -> None:
    targets = {
        name for line in re.findall(r"^([\w -]+):", text("Makefile"), re.MULTILINE) for name in line.split()
    }
    said = {one or other for one, other in TARGET.findall(text(paper))}
    assert said and said - targets == set()


def test_the_stair_is_the_law_s() -> None:
    law = ConfigParser()
    law.read_string(text(".importlinter"))
    wanted = law["importlinter:contract:stair"]["layers"].split("\n")
    shown = re.search(r"(?:^    .*\n)+", text("CONTRIBUTING.md"), re.MULTILINE)
    assert shown is not None
    lines = [re.split(r"  +", line.strip())[0] for line in shown.group().splitlines()]
    assert lines == [line for line in wanted if line]


def test_the_citation_is_the_pack_s_and_the_paper_s() -> None:
    assert CITATION["cff-version"] == "1.2.0" and CITATION.keys() >= {"message", "title", "authors"}
    assert CITATION["repository-code"] == PROJECT["project"]["urls"]["Repository"]
    assert text("LICENSE").startswith(f"{CITATION['license']} License")
    paper = CITATION["preferred-citation"]
    assert paper.keys() >= {"type", "title", "authors"}
    arxiv = paper["identifiers"][0]["value"].removeprefix("arXiv:")
    assert arxiv in KLora.paper and paper["url"] == f"https://arxiv.org/abs/{arxiv}"
    people = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    assert f"{{{people}}}" in text("README.md") and f"{{{paper['title']}}}" in text("README.md")


def test_the_issue_form_asks_for_what_an_answer_needs() -> None:
    form = of_yaml(".github/ISSUE_TEMPLATE/bug.yml")
    assert form["name"] and form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in asked} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] and field["validations"]["required"] for field in asked)
    assert [field["id"] for field in asked] == ["what", "report", "versions", "loras", "workflow"]
    versions = next(field for field in asked if field["id"] == "versions")["attributes"]["value"]
    assert all(word in versions for word in ("K-LoRA", "ComfyUI:", "front end", "torch", "GPU"))
