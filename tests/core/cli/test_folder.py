"""``report --folder``: a table, JSON and a picture of all pairs; every file of the folder has its line."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from klora_core.cli import main
from tests.support import loras

from .test_main import fails

LAYERS = loras.UNET[:12]
NAMES = ("cat", "dog", "ink")


@pytest.fixture
def folder(tmp_path):
    """Three LoRAs, one that was cut off, a picture, and a folder."""
    place = tmp_path / "loras"
    place.mkdir()
    for seed, (name, spelling) in enumerate(
        zip(NAMES, ("peft", "kohya-sgm", "kohya-diffusers"), strict=True)
    ):
        loras.make(place / f"{name}.safetensors", LAYERS, spelling, seed=seed)
    (place / "cut.safetensors").write_bytes((place / "cat.safetensors").read_bytes()[:-9])
    (place / "cat.png").write_bytes(b"")
    (place / "old").mkdir()
    return place


def said(capsys, *arguments):
    assert main(["report", *map(str, arguments)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_every_file_has_its_line(folder, capsys):
    lines = said(capsys, "--folder", folder, "--steps", 12).splitlines()
    assert lines[:2] == [
        "Not looked into, folders in it: old.",
        "Not read, by their names no LoRA files (.bin, .ckpt, .pkl, .pt, .pt2, .pth, .safetensors, .sft): "
        "cat.png.",
    ]
    assert lines[3] == (
        "K-LoRA: 3 LoRAs, 3 pairs, each both ways; 12 steps, schedule s = 1.5 x + 0.5, gamma paper, layers "
        "shared, score top-k."
    )
    assert lines[lines.index("Can't be paired:") + 1].startswith(
        "  cut.safetensors: is not a complete safetensors file"
    )
    files = lines[lines.index("Files:") + 1 :][:3]
    assert files == [
        f"  {number:>3}  {name}.safetensors ({len(LAYERS)} layers, rank 4)"
        for number, name in enumerate(NAMES, 1)
    ]
    assert [line.split()[:3] for line in lines[-3:]] == [
        ["1", "2", "12"],
        ["1", "3", "12"],
        ["2", "3", "12"],
    ]


def test_json_beside_and_what_one_pair_s_report_says(folder, tmp_path, capsys):
    out, plan = tmp_path / "pairs.json", tmp_path / "plan.json"
    dials = ["--balance", "-0.2", "--steps", "9", "--layers", "attention"]
    said(capsys, "--folder", folder, *dials, "--json", out)
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["schema"] == "klora-folder/1" and document["steps"] == 9
    assert document["schedule"]["balance"] == -0.2 and document["layers"] == "attention"
    assert len(document["refused"]) == 1
    ways = {(way["subject"], way["style"]): way for pair in document["pairs"] for way in pair["ways"]}
    assert len(ways) == 6
    for (subject, style), way in ways.items():
        text = said(capsys, folder / subject, folder / style, *dials, "--json", plan)
        one = json.loads(plan.read_text(encoding="utf-8"))
        assert way["gamma"] == one["gamma"]["value"]
        choices = "".join(slot["choice"] for slot in one["slots"])
        assert way["style_share"] == pytest.approx(choices.count("s") / len(choices))
        half = way["takes_over"]["half"]
        assert f"half of the layers by step {half}" in text if half else "half of the layers" not in text
        assert f"choose the same in {way['one_change']['share']:.0%} of the cells" in text
    before = out.read_bytes()
    said(capsys, "--folder", folder, *dials, "--json", out)
    assert out.read_bytes() == before


def test_a_picture(folder, tmp_path, capsys):
    said(capsys, "--folder", folder, "--plot", tmp_path / "pairs.png")
    with Image.open(tmp_path / "pairs.png") as image:
        assert image.format == "PNG"
    (folder / "dog.safetensors").unlink(), (folder / "ink.safetensors").unlink()
    assert "Leave out --plot, and the report says why: there is no pair" in fails(
        capsys, "report", "--folder", folder, "--plot", tmp_path / "none.png"
    )
    assert not (tmp_path / "none.png").exists()
    text = said(capsys, "--folder", folder, "--json", tmp_path / "none.json")
    assert "No two of them can be paired." in text and "  cut.safetensors: is not a complete" in text


def test_extremes_are_named_with_the_balance_that_evens_them(folder, capsys):
    weak = said(capsys, "--folder", folder, "--balance", "-4")
    assert "Style likely too late or too weak, less than 30% of the cells: 6 of 6:" in weak
    assert "cat.safetensors in the style of dog.safetensors: the style has 0%" in weak
    assert "Subject likely lost, less than 15% of the cells: 0 of 6\n" in weak
    lost = said(capsys, "--folder", folder, "--balance", "4")
    assert "Subject likely lost, less than 15% of the cells: 6 of 6:" in lost
    assert "WHEN" not in weak and "WHEN" not in lost, "one LoRA throughout is no matter of time"
    assert "; balance +" in weak or "; balance -" in weak


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{folder}/cat.safetensors", "{folder}/ink.safetensors"], "Leave out the files beside it: "),
        (["--subject", "{folder}/cat.safetensors"], "Leave out the files beside it: "),
        (["--plan", "plan.json"], "Leave out --plan: "),
        (["--method", "LoRA Switch"], "Leave out --method: "),
        (["--tau", "2"], "Leave out --tau: "),
        (["--steps", "0"], "steps must be at least 1"),
        (["--balance", "nan"], "balance must be a finite number"),
        (["--json", "{folder}/cat.safetensors"], "it is one of the files that are read"),
        (["--json", "{folder}/cut.safetensors"], "it is one of the files that are read"),
        (["--json", "no/such/pairs.json"], "can't write"),
    ],
)
def test_what_does_not_go_with_a_folder(folder, capsys, arguments, words):
    given = [each.format(folder=folder) for each in arguments]
    assert words in fails(capsys, "report", *given, "--folder", folder)


def test_the_method_of_a_folder_may_be_named(folder, capsys):
    assert "3 pairs" in said(capsys, "--folder", folder, "--method", "K-LoRA")


def test_folders_that_are_none(tmp_path, capsys):
    assert "there is no such folder" in fails(capsys, "report", "--folder", tmp_path / "gone")
    file = loras.make(tmp_path / "cat.safetensors", loras.UNET[:3], "peft").path
    line = fails(capsys, "report", "--folder", file)
    assert line.startswith("klora: Give a folder with LoRA files in it, ") and "is no folder." in line
    (tmp_path / "empty").mkdir()
    assert "holds no LoRA file (.bin, " in fails(capsys, "report", "--folder", tmp_path / "empty")
