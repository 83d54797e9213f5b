"""LoRAs that others published, where KLORA_REAL_LORAS names a folder of them; none is in this repository."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.methods.survey import Settings, survey
from klora_core.progress import in_steps

FOLDER = os.environ.get("KLORA_REAL_LORAS", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KLORA_REAL_LORAS is not set")
OVER = in_steps(30)


def opened():
    """The LoRAs of the folder, and lines on what is none."""
    loras, refused = [], []
    for path in sorted(Path(FOLDER).iterdir()):
        if path.suffix in files.SUFFIXES:
            try:
                loras.append(files.open_lora(path))
            except KLoraError as error:
                refused.append(str(error))
    return loras, refused


@pytest.fixture(scope="module")
def found():
    loras, refused = opened()
    return survey(loras, OVER, Settings(), refused)


def test_every_file_is_paired_or_has_its_reason(found):
    loras, refused = opened()
    assert len(found.files) + len(found.refused) == len(loras) + len(refused)
    every = {(one, other) for other in range(len(found.files)) for one in range(other)}
    assert every == {(pair.one, pair.other) for pair in (*found.pairs, *found.apart)}
    assert all(line.strip() and "\n" not in line for line in found.refused)
    for pair in found.apart:
        one, other = found.files[pair.one].base, found.files[pair.other].base
        assert one is not None and other is not None and not one.fits(other)
        assert str(one) in pair.reason and str(other) in pair.reason


def test_on_them_the_choice_is_mostly_one_of_time(found):
    """docs/WHAT_IT_DECIDES.md"""
    if len(found.pairs) < 20:
        pytest.skip("a few pairs say nothing of all")
    changes = [way.handover.change.share for way in found.ways]
    assert statistics.median(changes) > 0.8
    assert all(0.5 <= share <= 1 for share in changes)
    halves = [way.handover.half for way in found.ways if way.handover.half]
    assert len(halves) > 0.95 * 2 * len(found.pairs)
    assert 8 <= statistics.median(halves) <= 14, "where S is 1, which is step 10 of 30"


def test_two_changes_have_next_to_nothing_in_common(found):
    overlaps = [pair.overlap for pair in found.pairs]
    assert all(overlap is not None and 0 <= overlap <= 1 for overlap in overlaps)
    assert len(overlaps) < 20 or statistics.median(overlaps) < 0.01
