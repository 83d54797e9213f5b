"""The lines of docs/diffusers.md, run as they stand, on a tiny SDXL-class pipeline."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from klora_core import report
from klora_core.fuse import fuse
from klora_core.progress import in_steps
from tests.support import pipelines

from .test_fusion import Rewriter, files

pytestmark = pytest.mark.slow

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed (a development requirement)"
)

REPO = Path(__file__).resolve().parents[3]
TEXT = (REPO / "docs" / "diffusers.md").read_text(encoding="utf-8")
LINES = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)[0]
STEPS, PROMPT = 30, "a sbu dog in szn style"


def tokenizer(folder: Path):
    """Letters, each alone and at the end of a word."""
    letters = [chr(ord("a") + i) for i in range(26)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=77), len(words)


def encoder(kind, width, vocabulary):
    config = transformers.CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=24,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    torch.manual_seed(width)
    return kind(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The pipeline under the name that the lines give, and two LoRAs."""
    folder = tmp_path_factory.mktemp("doc")
    pipe = pipelines.sdxl()
    words, vocabulary = tokenizer(folder / "words")
    parts = {"tokenizer": words, "tokenizer_2": words}
    parts["text_encoder"] = encoder(transformers.CLIPTextModel, 8, vocabulary)
    parts["text_encoder_2"] = encoder(transformers.CLIPTextModelWithProjection, 16, vocabulary)
    for name, part in parts.items():
        pipe.register_modules(**{name: part})
    pipe.save_pretrained(folder / "stabilityai" / "stable-diffusion-xl-base-1.0")
    for role, made in zip(
        ("subject", "style"), files("sdxl", pipe.unet, ("kohya-sgm", "peft"), folder), strict=True
    ):
        os.link(made.path, folder / f"{role}.safetensors")
    return folder


def test_there_are_twelve_lines():
    assert len([line for line in LINES.splitlines() if line.strip()]) <= 12


def test_the_lines_of_the_page(folder):
    script = folder / "lines.py"
    script.write_text(LINES)
    environment = os.environ | {"PYTHONPATH": str(REPO), "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = np.asarray(Image.open(folder / "fused.png")).astype(int)

    pipe = pipelines.diffusers.DiffusionPipeline.from_pretrained(
        folder / "stabilityai/stable-diffusion-xl-base-1.0"
    )
    pipe.set_progress_bar_config(disable=True)

    def picture():
        generator = torch.Generator().manual_seed(0)
        return np.asarray(pipe(PROMPT, num_inference_steps=STEPS, generator=generator).images[0]).astype(int)

    bare = picture()
    fusion = fuse(pipe.unet, folder / "subject.safetensors", folder / "style.safetensors")
    assert done.stdout.strip() == report.text(fusion.plan, replace(in_steps(STEPS), mode="steps")).strip()
    Rewriter("sdxl", pipe.unet, files("sdxl", pipe.unet, ("kohya-sgm", "peft"), folder), list(range(STEPS)))
    assert abs(picture() - found).max() <= 1
    assert abs(bare - found).max() > 8


def test_every_setting_of_the_page_exists():
    import inspect

    section = TEXT.split("## Settings")[1].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", section))
    parameters = set(inspect.signature(fuse).parameters)
    assert parameters - {"model"} <= named
