"""Pictures of Pick and Learn's sheets: the same ones whenever, wherever, in how many Runs they are made."""

from __future__ import annotations

import comfy.model_management
import comfy.utils
import folder_paths
import pytest
import torch

from tests.support.learning.picking import by_core, is_blocked, latents_of, line_of
from tests.support.learning.world import left_on

STOP = comfy.model_management.InterruptProcessingException


def test_a_picture_is_its_rule_and_its_noise(run, temp):
    *_, sheet = run()
    whole = latents_of(temp)
    picks = "\n".join(p["line"] for p in sheet["pictures"][:2]) + "\nmore"
    first = run(picks)[0]
    for path in temp.rglob("*.*"):
        path.unlink()
    # Nothing is there any more, and the picks come in another order: they are made again.
    lines = picks.splitlines()
    again = run("\n".join([*lines[1::-1], "more"]))[0]
    assert all(torch.equal(first[key], again[key]) for key in first)
    kept = latents_of(temp)
    assert all(torch.equal(kept[name], whole[name]) for name in kept.keys() & whole.keys())
    assert len(kept.keys() & whole.keys()) == 2


@pytest.mark.parametrize("round", [1, 2])
def test_parts_are_the_whole(run, temp, round):
    *_, sheet = run()
    picks = "" if round == 1 else f"{sheet['pictures'][0]['line']}\nmore"
    whole = run(picks)
    for path in temp.rglob("klora_picks/*.*"):
        path.unlink()
    images, pictures = {}, {}
    for number in range(1, 5):
        *_, shown, report, document = run(picks, part=f"{number} of 4")
        assert document["part"] == [number, 4] and document["of"] == len(whole[2])
        if document["pictures"]:
            images |= {p["place"]: image for p, image in zip(document["pictures"], shown, strict=True)}
        else:
            assert is_blocked(shown)
        pictures |= {p["place"]: p for p in document["pictures"]}
    assert [pictures[place] for place in sorted(pictures)] == whole[4]["pictures"]
    assert torch.equal(torch.stack([images[place] for place in sorted(images)]), whole[2])


class Interrupts:
    """A user who presses stop when the page hears that so many of so many steps are done."""

    def __init__(self, at, of):
        self._at = at, of

    def __enter__(self):
        comfy.utils.set_progress_bar_global_hook(self._told)

    def __exit__(self, *_):
        comfy.utils.set_progress_bar_global_hook(None)
        comfy.model_management.interrupt_current_processing(False)

    def _told(self, done, total, preview=None, **_):
        if (done, total) == self._at:
            comfy.model_management.interrupt_current_processing()


@pytest.mark.parametrize(
    ("at", "of", "where"), [(3, 6, "in the sheet"), (1, 3, "in the learning"), (2, 3, "in the learning")]
)
def test_interrupted_it_goes_on_bit_for_bit(run, world, temp, tmp_path, at, of, where):
    before, picks = by_core(world, 9), ""
    if where == "in the learning":
        *_, sheet = run()
        picks = "\n".join(p["line"] for p in sheet["pictures"]) + "\nmore"
    folder_paths.set_temp_directory(str(tmp_path / "one"))
    if picks:
        run()
    with Interrupts(at, of), pytest.raises(STOP):
        run(picks)
    kept = len(list((tmp_path / "one").rglob("klora_picks/*.pt")))
    # The picture at work is lost, those before it are not.
    assert kept == (1 if not picks else 3)
    assert not comfy.model_management.in_training and not left_on(world)
    assert torch.equal(by_core(world, 9), before)
    resumed = run(picks)
    folder_paths.set_temp_directory(str(tmp_path / "two"))
    whole = run(picks)
    assert torch.equal(resumed[2], whole[2]) and resumed[4] == whole[4]
    if picks:
        assert all(torch.equal(resumed[0][key], whole[0][key]) for key in whole[0])


def test_a_lora_of_the_role_other_works_on_all_pictures(run, set_of, world):
    beside = set_of(roles=("subject", "style", "other"))
    plain, other = run(), run(set=beside)
    assert not torch.equal(plain[2], other[2])
    picks = f"{line_of(other[4], 'sum 0.7')}\nmore"
    lora, model, *_ = run(picks, set=beside)
    assert lora.metadata["ss_network_dim"] == "16" and len(model.patches) >= len(lora) // 3
    again = run(picks, set=beside)[0]
    assert all(torch.equal(lora[key], again[key]) for key in lora)


def test_another_schedule_of_noise_is_another_sheet(run, world):
    sampling = world.get_model_object("model_sampling")
    other = type(sampling)(world.model.model_config)
    other.set_parameters(shift=1.5)
    shifted = world.clone()
    shifted.add_object_patch("model_sampling", other)
    assert not torch.equal(run()[2], run(model=shifted)[2])
