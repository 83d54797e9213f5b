"""``report`` with other methods than K-LoRA, and with more than two files."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from klora_core.cli import main
from klora_core.methods import METHODS
from klora_core.plan_file import from_json
from tests.support import loras

from .test_main import fails

# But the one for SDXL alone, and those whose choice is the picture's (test_report_gates).
OVER_TIME = [name for name in METHODS if name not in ("B-LoRA", "Arrow", "MoLE")]


@pytest.fixture
def three(tmp_path):
    """A subject and two styles, in three spellings."""
    spellings = ("kohya-sgm", "kohya-diffusers", "peft")
    made = (
        loras.make(tmp_path / f"{name}.safetensors", loras.UNET, spelling, seed=seed)
        for seed, (name, spelling) in enumerate(zip(("cat", "ink", "oil"), spellings, strict=True))
    )
    return [str(one.path) for one in made]


def plan_of(tmp_path, *arguments):
    path = tmp_path / "plan.json"
    assert main(["report", *map(str, arguments), "--json", str(path)]) == 0
    return from_json(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("method", OVER_TIME)
def test_every_method_with_three_files(three, tmp_path, capsys, method):
    arguments = ["--subject", three[0], "--style", three[1], "--style", three[2], "--method", method]
    plan = plan_of(tmp_path, *arguments)
    assert plan.method.name == method
    if not METHODS[method].method.adds:
        assert plan.candidates == ("subject", "style", "style 2")
    assert len(plan.slots) == len(loras.UNET), "three spellings, the same slots"
    assert capsys.readouterr().out.startswith(f"{method}: ")


def test_loras_by_hand(three, tmp_path, capsys):
    options = ["--method", "As scheduled", "--start", "0", "0.5", "--end", "0.5", "1"]
    plan = plan_of(tmp_path, *three[:2], *options, "--curve", "", "0:1, 1:0", "--blocks", "mid: 0", "up: 0.5")
    assert [lora.blocks for lora in plan.loras] == ["mid: 0", "up: 0.5"]
    assert [(when.start, when.end, when.curve) for when in plan.method.when] == [
        (0, 0.5, ""),
        (0.5, 1, "0:1, 1:0"),
    ]
    alone = [slot.name for slot in plan.slots if slot.group == "mid"]
    assert alone and all(plan.strength(0, name) == 0 for name in alone)
    out = capsys.readouterr().out
    assert "blocks mid: 0" in out and "times 0:1, 1:0" in out
    for wrong, words in (
        (["--start", "0.5"], "Give one --start for each LoRA, .*: got 1 --start for 2 LoRAs"),
        (["--start", "0.9", "0", "--end", "0.1", "1"], "cat.*: start 0.9 is after end 0.1"),
        (["--blocks", "left: 1", ""], "cat.*there is no left here"),
        (["--curve", "", "x"], "ink.*: curve: 'x' is no point of a curve"),
    ):
        assert main(["report", *three[:2], "--method", "As scheduled", *wrong]) == 2
        assert re.search(words, capsys.readouterr().err)
    assert main(["report", *three[:2], "--start", "0.5", "0"]) == 0
    assert "start, end and curve, NOT applied: K-LoRA says when a LoRA works" in capsys.readouterr().out


def test_the_order_of_the_options_is_the_order_of_the_turns(three, tmp_path):
    plan = plan_of(
        tmp_path,
        "--style",
        three[1],
        "--subject",
        three[0],
        "--method",
        "LoRA Switch",
        "--tau",
        "2",
        "--order",
        "paper",
    )
    assert [lora.role for lora in plan.loras] == ["style", "subject"]
    assert plan.to_json(6)["slots"][0]["choice"] == "ccsscc"
    reserved = plan_of(tmp_path, *three[:2], "--method", "LoRA Switch", "--tau", "0.5", "--reserve", "1")
    assert reserved.to_json(4)["slots"][0]["choice"] == "cccc"


def test_a_pair_and_more(three, tmp_path):
    plan = plan_of(tmp_path, *three[:2], "--style", three[2], "--score", "energy")
    assert [lora.role for lora in plan.loras] == ["subject", "style", "style"]
    assert plan.method.score == "energy"
    beside = plan_of(tmp_path, "--other", three[2], *three[:2])
    assert [lora.role for lora in beside.loras] == ["subject", "style", "other"]
    assert beside.method.who(beside.progress.of_steps(3).moments[0]).max() <= 1


def test_the_dominant_lora(three, tmp_path):
    plan = plan_of(tmp_path, *three[:2], "--method", "CMLoRA", "--late", "style", "--dominance", "3")
    assert plan.method.late == (1,) and plan.method.c == 3.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "files are required"),
        (["a.safetensors"], "Give two files"),
        (
            ["--subject", "{0}"],
            "Name one by --style FILE: K-LoRA needs a subject and a style LoRA, and no LoRA here is a style.",
        ),
        (["--style", "{0}", "--method", "B-LoRA"], "exactly one subject and one style"),
        (["{0}", "{1}", "--method", "LoRA Swap"], "invalid choice"),
        (["{0}", "{1}", "--method", "LoRA Switch", "--tau", "0"], "tau must be a number of steps"),
        (["{0}", "{1}", "--method", "LoRA Switch", "--tau", "x"], "invalid _tau value"),
        (
            ["--other", "{0}", "--method", "LoRA Composite"],
            "Give at least one the role subject or style: no LoRA of the set takes part",
        ),
    ],
)
def test_bad_calls(three, capsys, arguments, words):
    assert words in fails(capsys, "report", *(each.format(*three) for each in arguments))


def test_merge_is_a_command_too(three, tmp_path, capsys):
    out = tmp_path / "both.safetensors"
    assert main(["merge", *three, "--method", "linear", "--dtype", "fp32", "-o", str(out)]) == 0
    assert all(torch.isfinite(tensor).all() for tensor in load_file(out).values())
    assert "both.safetensors" in capsys.readouterr().out
    assert main(["report", str(out), three[1]]) == 0, "and the result is a LoRA like any other"
    capsys.readouterr()
    assert "merge needs two LoRAs" in fails(capsys, "merge", three[0], "-o", str(out))


def with_text_layers(path):
    """The file with a text encoder's layer beside what it has."""
    tensors, name = load_file(path), "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    tensors |= {f"{name}.lora_up.weight": torch.ones(4, 2), f"{name}.lora_down.weight": torch.ones(2, 4)}
    save_file(tensors, path)
    return path


@pytest.mark.parametrize("method", OVER_TIME)
def test_a_plan_read_back_gives_the_same_report_picture_and_json(three, tmp_path, capsys, method):
    names = [tmp_path / name for name in ("a.json", "a.png", "b.json", "b.png")]
    three[0] = with_text_layers(three[0])
    arguments = ["--subject", three[0], "--style", three[1], "--method", method, "--steps", "7"]
    assert main(["report", *arguments, "--json", str(names[0]), "--plot", str(names[1])]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Not applied:\n  cat.safetensors: 1 text-encoder layer, NOT applied: ")
    assert main(["report", "--plan", str(names[0]), "--json", str(names[2]), "--plot", str(names[3])]) == 0
    assert capsys.readouterr().out == said
    assert names[0].read_bytes() == names[2].read_bytes() and names[1].read_bytes() == names[3].read_bytes()
    assert main(["report", "--plan", str(names[0]), "--steps", "3"]) == 0
    assert capsys.readouterr().out != said


def test_what_is_no_plan_is_refused_by_its_file(pair_of_plan, capsys):
    plan, pair = pair_of_plan
    cases = {
        "no.json": (None, "no.json: can't be read (No such file or directory)"),
        "bad.json": ("{", "Give a file that `report --json` wrote: bad.json: is no JSON."),
        "deep.json": ("[" * 100_000, "deep.json: is no JSON"),
        "list.json": ("[]", "list.json: not a klora-plan/1 document"),
        "steps.json": (plan.read_text().replace('"steps": 30', '"steps": 0'), "incomplete: its steps are 0"),
    }
    for name, (text, message) in cases.items():
        path = plan.with_name(name)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        assert message in fails(capsys, "report", "--plan", path)
    for beside in (
        ["--balance", "0.2"],
        ["--balance", "0"],
        ["--reserve", "0"],
        pair,
        ["--subject", pair[0]],
        ["--method", "CMLoRA"],
    ):
        said = fails(capsys, "report", "--plan", plan, *beside)
        assert said.startswith("klora: Leave out ") and "--plan has its LoRAs and settings in it." in said


@pytest.fixture
def pair_of_plan(three, tmp_path, capsys):
    path = tmp_path / "plan.json"
    assert main(["report", *three[:2], "--json", str(path)]) == 0
    capsys.readouterr()
    return path, three[:2]
