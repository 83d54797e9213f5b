"""The lines of docs/diffusers.md that learn, run as they stand, on a tiny SD1.5-class pipeline."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from klora_core.pipelines import teach
from klora_core.train import Item, Options
from tests.support import pipelines

from .test_diffusers_doc import REPO, TEXT, encoder, tokenizer, transformers
from .test_fusion import files

pytestmark = pytest.mark.slow

LINES = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)[1]
NAME = "stable-diffusion-v1-5/stable-diffusion-v1-5"
ROLES = ("subject", "style")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The pipeline under the name that the lines give, two LoRAs, and pictures that somebody liked."""
    folder = tmp_path_factory.mktemp("doc")
    pipe = pipelines.sd15()
    words, vocabulary = tokenizer(folder / "words")
    # The encoder gives what the tiny network reads.
    text = encoder(transformers.CLIPTextModel, 24, vocabulary)
    pipe.register_modules(tokenizer=words, text_encoder=text)
    pipe.save_pretrained(folder / NAME)
    made = files("sd15", pipe.unet, ("kohya-diffusers", "peft"), folder)
    for role, lora in zip(ROLES, made, strict=True):
        os.link(lora.path, folder / f"{role}.safetensors")
    draw = np.random.default_rng(3)
    for number in (1, 2):
        pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).resize((16, 16)).save(folder / f"liked-{number}.png")
    return folder


def test_there_are_ten_lines_beside_what_they_need():
    lines = [line for line in LINES.splitlines() if line.strip()]
    assert len([line for line in lines if not re.match(r"import |from ", line)]) <= 10


def test_the_lines_of_the_page(folder):
    """As they stand, but for the number of steps; what they save is the loop's on these pictures."""
    assert "steps=200" in LINES
    script = folder / "lines.py"
    script.write_text(LINES.replace("steps=200", "steps=6"))
    environment = os.environ | {"PYTHONPATH": str(REPO), "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    # As this lane has it: sums in another order are another first step where a gradient is next to nothing.
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = load_file(folder / "taught.safetensors")

    pipe = pipelines.diffusers.DiffusionPipeline.from_pretrained(folder / NAME)
    pictures = [Image.open(folder / f"liked-{number}.png") for number in (1, 2)]
    with torch.no_grad():
        seen = pipe.vae.encode(pipe.image_processor.preprocess(pictures)).latent_dist.mean
        words, _ = pipe.encode_prompt("a sbu dog in szn style", "cpu", 1, False)
    condition = {"encoder_hidden_states": words}
    items = [Item(latent, condition) for latent in (seen * pipe.vae.config.scaling_factor).split(1)]
    losses = []
    wanted = teach(
        pipe.unet,
        [folder / f"{role}.safetensors" for role in ROLES],
        items,
        pipe.scheduler,
        strengths=(0.7, 0.7),
        options=Options(steps=6, at_once=4),
        callback=lambda done, loss: losses.append(loss),
    )
    assert found.keys() == wanted.keys() and len(losses) == 6
    for key, tensor in wanted.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-4, atol=1e-5)
    pipe.load_lora_weights(str(folder / "taught.safetensors"))
