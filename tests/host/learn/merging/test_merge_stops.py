"""A training that stops: it goes on, and nothing of it is left."""

from __future__ import annotations

import gc
import os

import comfy.model_management
import comfy.utils
import folder_paths
import pytest
import torch

from tests.support.learning.on_world import PAIR, PROMPT, SHORT, good, picture, run, teach
from tests.support.learning.world import left_on, prompts, resident


class Interrupts:
    """The host's own progress hook, in which other nodes' users press stop."""

    def __init__(self, at, error=None):
        self._at, self._error = at, error

    def __enter__(self):
        comfy.utils.set_progress_bar_global_hook(self._told)

    def __exit__(self, *_):
        comfy.utils.set_progress_bar_global_hook(None)

    def _told(self, done, total, preview=None, **_):
        if done == self._at:
            if self._error is not None:
                raise self._error
            comfy.model_management.interrupt_current_processing()


STOP = comfy.model_management.InterruptProcessingException


@pytest.mark.parametrize("method", ["taught", "ZipLoRA"])
def test_interrupted_and_run_again_is_the_uninterrupted_bit_for_bit(pack, world, set_of, method, tmp_path):
    given, before = set_of(1.0, 1.0), picture(world)

    def go():
        if method == "taught":
            return teach(pack, world, given, steps=4)
        return run(pack, world, given, {"method": method, "steps": 4}, prompts=prompts(*PAIR), **SHORT)

    folder_paths.set_temp_directory(str(tmp_path / "one"))
    whole = go()
    folder_paths.set_temp_directory(str(tmp_path / "two"))
    # Pictures come first, by bars of their own that end at 2.
    with Interrupts(3), pytest.raises(STOP):
        go()
    assert not comfy.model_management.in_training and not left_on(world)
    assert torch.equal(picture(world), before)
    assert [name for name in os.listdir(tmp_path / "two" / "klora_training") if "state" in name]
    resumed = go()
    assert resumed[3] == whole[3]
    assert all(torch.equal(resumed[0][key], whole[0][key]) for key in whole[0])


def test_out_of_memory_and_other_errors_leave_nothing(pack, world, set_of):
    before, given = picture(world), set_of(1.0, 1.0)
    loaded = len(comfy.model_management.current_loaded_models)
    errors = torch.OutOfMemoryError("no room"), RuntimeError("broken"), KeyboardInterrupt()
    for seed, error in enumerate(errors):
        with Interrupts(1, error), pytest.raises(type(error)):
            teach(pack, world, given, steps=2, seed=seed)
        gc.collect()
        assert len(comfy.model_management.current_loaded_models) <= loaded
        assert not comfy.model_management.in_training and not left_on(world)
    assert torch.equal(picture(world), before)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell")
def test_memory_is_back_after_ten_trainings(pack, world, set_of):
    """The second model has 14 MB: ten that stayed would show."""
    given = set_of(1.0, 1.0)

    def train(seed):
        latents = good(world, 1)
        method = {"method": "taught", "steps": 1}
        run(pack, world, given, method, prompt=PROMPT, latents=latents, seed=seed)

    for seed in range(2):
        train(seed)
    before = resident()
    for seed in range(2, 12):
        train(seed)
    assert resident() < before + 30
