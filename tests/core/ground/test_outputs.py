"""Files that are written: whole or not at all, never over what is read, and the remedy for the reason."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from klora_core import outputs
from klora_core.errors import KLoraError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_whole(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    path.chmod(0o640)
    with outputs.replacing(path) as beside:
        assert beside.parent == tmp_path and beside.suffix == ".json"
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and names(tmp_path) == ["out.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_may_be_read_as_others_may(tmp_path):
    with outputs.replacing(tmp_path / "out") as beside:
        beside.write_text("new")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), KLoraError("no")])
def test_after_a_failure_all_is_as_it_was(tmp_path, error):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(type(error)), outputs.replacing(path) as beside:
        beside.write_text("half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["out"]


def test_a_link_stays(tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "out", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with outputs.replacing(link) as beside:
        beside.write_text("new")
    assert link.is_symlink() and target.read_text() == "new" and names(tmp_path / "far") == ["out"]


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no devices")
def test_a_device_is_written_to_and_not_replaced():
    with outputs.replacing(Path("/dev/null")) as same:
        assert same == Path("/dev/null")
        same.write_text("gone")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Free some space on the disk, which is full, or"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Free some space on the disk, which is full, or"),
        (OSError(errno.EFBIG, "File too large"), "Choose another disk, as the file is larger than this disk"),
        (OSError(errno.EACCES, "Permission denied"), "Choose a folder"),
        # safetensors 0.8, then 0.5.
        (
            RuntimeError("serializing: I/O error: No space (os error 28)"),
            "Free some space on the disk, which is full, or",
        ),
        (
            RuntimeError("IoError(Os { code: 28, kind: StorageFull, ... })"),
            "Free some space on the disk, which is full, or",
        ),
        (RuntimeError("something else"), "Choose a folder"),
    ],
)
def test_each_reason_has_its_remedy(error, remedy):
    told = str(outputs.unwritable(Path("some/out"), error))
    said = error.strerror if isinstance(error, OSError) else str(error)
    reason = "No space left on device" if "28" in said else said
    assert told.startswith(remedy) and told.endswith(f": can't write some/out: {reason}.")


def test_a_full_disk_leaves_the_older_file(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    with (
        pytest.raises(KLoraError, match=r"^Free some space on the disk, .*: can't write .*out: No space"),
        outputs.replacing(path),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old" and names(tmp_path) == ["out"]


def test_an_output_is_no_input_by_whatever_path(tmp_path, monkeypatch):
    source = tmp_path / "a.safetensors"
    source.write_text("a")
    (tmp_path / "symbolic").symlink_to(source)
    os.link(source, tmp_path / "hard")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (source, "a.safetensors", "sub/../a.safetensors", "symbolic", "hard"):
        for one, other in ((Path(path), source), (source, Path(path))):
            with pytest.raises(KLoraError, match="is one of the files that are read"):
                outputs.check([one], [other])
    outputs.check([Path("b.safetensors")], [source])
    with pytest.raises(KLoraError, match="twice"):
        outputs.check([Path("b"), tmp_path / "sub" / ".." / "b"], [])


def test_places_that_can_not_be_written(tmp_path):
    with pytest.raises(KLoraError, match="is a folder"):
        outputs.check([tmp_path], [])
    with pytest.raises(KLoraError, match="^Choose a folder that exists .*: No such file or directory"):
        outputs.check([tmp_path / "no" / "out"], [])
