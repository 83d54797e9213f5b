"""No language of the page falls behind English: names, tooltips, help pages and the map's words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
DOCS = REPO / "web" / "docs"
JS = REPO / "web" / "js"
PAGE_WORDS = "view/words.js", "view/brush_words.js", "methods/words.js", "sheet/words.js"
LANGUAGES = sorted(path.name for path in (REPO / "locales").iterdir() if path.name != "en")
NODES = sorted(path.stem for path in DOCS.glob("*.md"))
GROUPS = "inputs", "outputs"
# A heading, a point of a list, a numbered one.
MARKS = re.compile(r"^(?:#+|-|\d+\.) ", re.MULTILINE)
# Two words in a row, or any of Chinese or Japanese.
SENTENCE = re.compile(r"[A-Za-z]{2,}[.,:;]? [A-Za-z]{2,}|[\u3040-\u30ff\u4e00-\u9fff]")
NO_WORDS_OF_THE_PAGE = {
    # Names of methods.
    ("methods/index.js", "LoRA Switch"),
    ("methods/index.js", "LoRA Composite"),
    ("methods/index.js", "As scheduled"),
    # A choice of LoRA Set.
    ("graph/rows.js", "all other"),
    # CSS.
    ("node/line.js", "11px/1.35 Inter, system-ui, sans-serif"),
    ("view/telling.js", "linear-gradient(to right, ..)"),
    # The console is a log, and logs are English.
    (
        "page/comfy.js",
        "K-LoRA is installed twice: .. is in use, .. does nothing. Remove one folder of the pack.",
    ),
}
IMAGE = re.compile(r"!\[[^]]+]\(([^)]+)\)")


def words(language: str, file: str = "nodeDefs") -> Any:
    return json.loads((REPO / "locales" / language / f"{file}.json").read_text(encoding="utf-8"))


def page(node: str, language: str = "en") -> str:
    name = f"{node}.md" if language == "en" else f"{node}/{language}.md"
    return (DOCS / name).read_text(encoding="utf-8")


def keys(told: Any, at: str = "") -> set[str]:
    """Every path through the words, down to the texts, such as ``/KLoRAFuse/inputs/clip/name``."""
    if not isinstance(told, dict):
        assert told, f"{at} is empty"
        return {at}
    return {path for key, inner in told.items() for path in keys(inner, f"{at}/{key}")}


def tables(text: str) -> list[list[str]]:
    """The first cell of each row, table by table, without the two rows of its head."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    return [[line.split("|")[1].strip() for line in block.splitlines()[2:]] for block in blocks]


def columns(text: str) -> list[int]:
    return [line.count("|") for line in text.splitlines() if line.startswith("|")]


def names_of(node: str, language: str) -> dict[str, set[str]]:
    """What an English name of an input or output can be called in a language: ``model`` is both."""
    english, told = words("en")[node], words(language)[node]
    found: dict[str, set[str]] = {}
    for group in GROUPS:
        for key, text in english[group].items():
            found.setdefault(text["name"], set()).add(told[group][key]["name"])
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_the_nodes_inputs_outputs_and_options_of_english(language):
    english, told = words("en"), words(language)
    assert keys(english) - keys(told) == set()
    # Where options of a choice have inputs of one name, English leaves the tooltip to each option's own. A
    # language must tell one that is true of all: the page would show the English one.
    for path in keys(told) - keys(english):
        assert path.endswith("/tooltip") and path.removesuffix("tooltip") + "name" in keys(english), path
    for node in told.values():
        for group in GROUPS:
            assert [key for key, text in node[group].items() if "tooltip" not in text] == []
    assert keys(words("en", "main")) == keys(words(language, "main"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("node", NODES)
def test_a_help_page_has_the_sections_lists_pictures_and_tables_of_the_english_one(node, language):
    english, told = page(node), page(node, language)
    assert MARKS.findall(told) == MARKS.findall(english)
    assert IMAGE.findall(told) == IMAGE.findall(english)
    assert columns(told) == columns(english)
    assert [len(rows) for rows in tables(told)] == [len(rows) for rows in tables(english)]
    assert told.splitlines()[0] == f"# {words(language)[node]['display_name']}"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("node", NODES)
def test_a_help_page_calls_inputs_and_outputs_as_the_node_does(node, language):
    names = names_of(node, language)
    for english, told in zip(tables(page(node)), tables(page(node, language)), strict=True):
        for cell, row in zip(english, told, strict=True):
            for name in re.findall(r"`([^`]+)`", cell):
                assert any(called in row for called in names[name]), f"{name} in {row!r}: {names[name]}"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("node", NODES)
def test_a_help_page_names_the_environment_variables_of_the_english_one(node, language):
    variables = re.compile(r"\bKLORA_[A-Z_]+")
    assert set(variables.findall(page(node, language))) == set(variables.findall(page(node)))


def page_words(file: str, name: str) -> dict[str, str]:
    """The words of one language's block in a file of the page's words, as written."""
    text = (JS / file).read_text(encoding="utf-8")
    block = text.partition(f"\nconst {name} = {{\n")[2].partition("\n}\n")[0]
    return dict(re.findall(r"^  (\w+): (.*?),?$", block, re.MULTILINE))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("file", PAGE_WORDS)
def test_the_map_speaks_the_language(file, language):
    english, told = page_words(file, "EN"), page_words(file, language.upper())
    assert len(english) > 2 and english.keys() == told.keys()
    assert told["locale"] == f"'{language}'"
    # x is the paper's letter.
    assert {key for key, text in english.items() if told[key] == text} <= {"x", "atProgress"}


def buttons(language: str) -> dict[str, str]:
    """What the page calls a thing in a language, by what it calls it in English."""
    pairs = {}
    for file in PAGE_WORDS:
        english, told = page_words(file, "EN"), page_words(file, language.upper())
        pairs |= {text.strip("'"): told[key].strip("'") for key, text in english.items() if text[0] == "'"}
    return pairs


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_and_notes_name_the_page_s_buttons_as_the_page_does(language):
    texts = [(page(node), page(node, language)) for node in NODES]
    notes = json.loads((REPO / "web" / "words" / "templates.json").read_text(encoding="utf-8"))
    texts += [(line, told[language]) for line, told in notes.items()]
    found = set()
    for english, told in texts:
        for name, other in buttons(language).items():
            if count := len(re.findall(rf"(?<!\*)\*{re.escape(name)}\*(?!\*)", english)):
                found.add(name)
                assert told.count(f"*{other}*") == count, (name, told)
    assert {"learn and show more", "take it"} <= found


def test_the_page_s_words_are_in_the_files_of_words_alone():
    said = {
        (path.relative_to(JS).as_posix(), text)
        for path in sorted(JS.rglob("*.js"))
        if path.relative_to(JS).as_posix() not in PAGE_WORDS
        for text in literals(path.read_text(encoding="utf-8"))
        if SENTENCE.search(text)
    }
    assert said == NO_WORDS_OF_THE_PAGE


def literals(code: str) -> list[str]:
    """The texts in JavaScript, without what is put into them."""
    code = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", code, flags=re.DOTALL)
    texts = re.findall(r"'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`", code)
    return [re.sub(r"\$\{[^}]*}", "..", one or other) for one, other in texts]


@pytest.mark.parametrize(
    ("code", "sentences"),
    [
        ("hint.textContent = 'no LoRA here'", ["no LoRA here"]),
        ("say(`${name}, ${count} steps of it`)", [".., .. steps of it"]),
        ("title.textContent = '\u9009\u62e9\u56fe'", ["\u9009\u62e9\u56fe"]),
        ("// it's said 'in a comment'\n/** 'and here too' */\nsay(words.map, 'klora-map', 'K-LoRA')", []),
    ],
)
def test_a_sentence_in_code_is_seen(code, sentences):
    assert [text for text in literals(code) if SENTENCE.search(text)] == sentences
