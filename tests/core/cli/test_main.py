"""The command line: output where it belongs, one clear line and status 2 for anything bad."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from klora_core.cli import main, merge, report
from klora_core.plan_file import from_json
from tests.support import loras


@pytest.fixture
def pair(tmp_path):
    subject = loras.make(tmp_path / "cat.safetensors", loras.UNET, "kohya-sgm", seed=1)
    style = loras.make(tmp_path / "ink.safetensors", loras.UNET[:-2], "peft", seed=2)
    return str(subject.path), str(style.path)


def fails(capsys, *arguments):
    """The one line that a bad call gives."""
    assert main([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n") and err.count("\n") == 1
    assert err.startswith("klora: ")
    return err


def test_report(pair, capsys):
    assert main(["report", *pair]) == 0
    out, err = capsys.readouterr()
    assert "cat.safetensors" in out and "ink.safetensors" in out
    assert "28 layers" in out
    assert "only the subject LoRA changes them: input_blocks.3.0.op, output_blocks.2.2.conv" in out
    assert err == ""


@pytest.mark.slow
def test_as_a_module(pair):
    done = subprocess.run(
        [sys.executable, "-m", "klora_core", "report", *pair, "--steps", "0"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "klora: steps must be at least 1, got 0.\n")


def test_json_and_plot(pair, tmp_path, capsys):
    file, picture = tmp_path / "plan.json", tmp_path / "plan.png"
    assert main(["report", *pair, "--json", str(file), "--plot", str(picture), "--steps", "7"]) == 0
    plan = from_json(json.loads(file.read_text(encoding="utf-8")))
    assert plan.dumps(7) == file.read_text(encoding="utf-8")
    assert (plan.loras[0].name, plan.loras[0].slots) == ("cat.safetensors", len(loras.UNET))
    assert plan.loras[0].alone == ("input_blocks.3.0.op", "output_blocks.2.2.conv")
    with Image.open(picture) as image:
        assert image.format == "PNG"


def test_the_same_call_writes_the_same_bytes(pair, tmp_path):
    for name in ("a.json", "b.json"):
        main(["report", *pair, "--json", str(tmp_path / name)])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_attention_only(pair, tmp_path):
    out = tmp_path / "plan.json"
    assert main(["report", *pair, "--layers", "attention", "--json", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert len(document["slots"]) == 24
    assert all(".attn" in slot["name"] for slot in document["slots"])
    both = "input_blocks.1.0.in_layers.2"
    assert both in document["unmatched"]["subject"] and both in document["unmatched"]["style"]
    assert document["subject"]["slots"] == len(loras.UNET)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--steps", "0"], "steps must be at least 1"),
        (["--steps", "1000000000"], "steps must be at most 10000"),
        (["--steps", "many"], "invalid int value"),
        (["--schedule", "q"], "invalid choice"),
        (["--alpha", "-1"], "must not be negative"),
        (["--schedule", "s*", "--alpha", "0"], "alpha must be greater than 0"),
        (["--beta", "nan"], "must be a finite number"),
        (["--balance", "inf"], "must be a finite number"),
        (["--gamma", "papers"], "invalid choice"),
        (["--layers", "all"], "invalid choice"),
        (["--foo"], "unrecognized arguments"),
        (["--step", "3"], "unrecognized arguments"),
        (["--json", "no/such/folder/plan.json"], "can't write no/such/folder/plan.json"),
        (["--plot", "no/such/folder/plan.png"], "can't write no/such/folder/plan.png"),
        (["--plot", "plan.nosuchkind"], "can't draw plan.nosuchkind"),
    ],
)
def test_bad_options(pair, extra, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, "report", *pair, *extra)


def test_bad_calls(pair, capsys):
    assert "required" in fails(capsys)
    assert "required" in fails(capsys, "report")
    assert "STYLE" in fails(capsys, "report", pair[0])
    assert "invalid choice" in fails(capsys, "repotr", *pair)


def test_bad_files(pair, capsys, tmp_path):
    subject, style = pair
    assert "gone.safetensors: there is no such file" in fails(capsys, "report", "gone.safetensors", style)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "cat.safetensors").read_bytes()[:-7])
    assert "cut.safetensors" in fails(capsys, "report", subject, cut)
    text = tmp_path / "not\nreally.safetensors"
    text.write_text("hello")
    fails(capsys, "report", text, style)


def test_other_base_models(pair, capsys, tmp_path):
    flux = loras.make(tmp_path / "flux.safetensors", loras.FLUX_SPLIT, "transformer")
    line = fails(capsys, "report", pair[0], flux.path)
    assert "share no layer" in line and "middle_block.1" in line and "double_blocks.0" in line

    other_width = {key: torch.cat((t, t)) if "up" in key else t for key, t in load_file(pair[0]).items()}
    save_file(other_width, tmp_path / "wide.safetensors")
    assert "different base models" in fails(capsys, "report", pair[0], tmp_path / "wide.safetensors")


def test_files_are_read_as_a_pair(capsys, tmp_path):
    """A FLUX file with nothing but double blocks is told apart from others only beside a sure one."""
    double = [layer for layer in loras.FLUX_SPLIT if "img_attn" in layer.weight]
    unsure = loras.make(tmp_path / "unsure.safetensors", double, "transformer")
    sure = loras.make(tmp_path / "sure.safetensors", loras.FLUX_FUSED, "kohya-sgm")
    assert main(["report", str(unsure.path), str(sure.path)]) == 0
    assert "competing 4 layers" in capsys.readouterr().out


def test_products_that_overflow_name_layer_and_lora(pair, capsys, tmp_path):
    tensors = {key: t * 1e30 if "lora_" in key else t for key, t in load_file(pair[0]).items()}
    save_file(tensors, tmp_path / "huge.safetensors")
    line = fails(capsys, "report", tmp_path / "huge.safetensors", pair[1])
    assert line.startswith(
        "klora: Use another version of this LoRA: huge.safetensors: layer input_blocks.1.0.in_layers.2"
    )


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["report", "--help"])
    assert caught.value.code == 0
    assert "--schedule" in capsys.readouterr().out


@pytest.mark.parametrize("command", [merge, report])
def test_ctrl_c_is_one_line(command, pair, tmp_path, capsys, monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    name = command.__name__.rpartition(".")[2]
    out = ["-o", str(tmp_path / "out.safetensors")] if command is merge else []
    assert main([name, *pair, *out]) == 130
    assert capsys.readouterr() == ("", "klora: interrupted.\n")


def test_no_name_is_a_command_to_the_terminal(pair, tmp_path, capsys):
    """Of what is written and of what is read, in what is said and in what is refused."""
    out = tmp_path / "red\x1b[31m\x9b.safetensors"
    assert main(["merge", *pair, "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    assert r"red\x1b[31m\x9b.safetensors: 1 x cat" in shown and "\x1b" not in shown and "\x9b" not in shown
    assert out.exists()
    assert r"\x1b[31m" in fails(capsys, "merge", *pair, "-o", tmp_path / "no\x1b[31m" / "out.safetensors")
    assert r"\x1b[31m" in fails(capsys, "report", *pair, "--json", tmp_path / "no\x1b[31m" / "plan.json")
    assert main(["report", str(out), pair[1]]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_what_a_terminal_has_no_letters_for(pair, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    out = tmp_path / "\u732b.safetensors"
    assert main(["merge", *pair, "-o", str(out)]) == 0
    sys.stdout.seek(0)
    assert sys.stdout.read().startswith(r"\u732b.safetensors")


def test_reports_do_not_overwrite_what_they_read(pair, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "cat.safetensors").read_bytes()
    for option in ("--json", "--plot"):
        assert "is one of the files that are read" in fails(
            capsys, "report", *pair, option, "cat.safetensors"
        )
    assert "twice" in fails(capsys, "report", *pair, "--json", "a.png", "--plot", "a.png")
    assert main(["report", *pair, "--json", "plan.json"]) == 0
    capsys.readouterr()
    assert "that are read" in fails(capsys, "report", "--plan", "plan.json", "--json", "./plan.json")
    assert (tmp_path / "cat.safetensors").read_bytes() == before
