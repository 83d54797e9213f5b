"""``report`` with other methods than K-LoRA, and with more than two files."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from klora_core.cli import main
from klora_core.methods import METHODS
from klora_core.plan_file import from_json
from tests.support import loras

from .test_main import fails


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


@pytest.mark.parametrize("method", [name for name in METHODS if name != "B-LoRA"])
def test_every_method_with_three_files(three, tmp_path, capsys, method):
    arguments = ["--subject", three[0], "--style", three[1], "--style", three[2], "--method", method]
    plan = plan_of(tmp_path, *arguments)
    assert plan.method.name == method and plan.candidates == ("subject", "style", "style 2")
    assert len(plan.slots) == len(loras.UNET), "three spellings, the same slots"
    assert capsys.readouterr().out.startswith(f"{method}: ")


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
        (["a.safetensors"], "give two files"),
        (["--subject", "{0}"], "name one by --style FILE"),
        (["--style", "{0}", "--method", "B-LoRA"], "exactly one subject and one style"),
        (["{0}", "{1}", "--method", "LoRA Swap"], "invalid choice"),
        (["{0}", "{1}", "--method", "LoRA Switch", "--tau", "0"], "tau must be a number of steps"),
        (["{0}", "{1}", "--method", "LoRA Switch", "--tau", "x"], "invalid _tau value"),
        (["--other", "{0}", "--method", "LoRA Composite"], "No LoRA of the set takes part"),
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
