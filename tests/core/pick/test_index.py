"""What is kept of files: read once for each state, over restarts, bounded; a file that is gone leaves."""

from __future__ import annotations

import json
import os

import pytest

from klora_core.pick import LoraText, State, TextIndex, index, state_of
from klora_core.pick.index import LIMIT


class Files:
    """Stands for a folder; counts what is read of it."""

    def __init__(self, place):
        self.states: dict[str, State] = {}
        self.reads: list[str] = []
        self.place = place
        self.index = TextIndex(self.read, lambda: place)

    def read(self, path):
        self.reads.append(path)
        return LoraText((path,), (f"a text of {path}",), ("SDXL",), ("animal",), "")

    def write(self, path, size=1):
        self.states[path] = State(size, 5, 1, 1, 5)

    def texts(self, *paths):
        self.reads.clear()
        wanted = {path: self.states[path] for path in paths or self.states}
        return self.index.texts(wanted, self.states, lambda done, of: None)

    def restart(self):
        self.index = TextIndex(self.read, lambda: self.place)


@pytest.fixture
def files(tmp_path):
    found = Files(tmp_path / "user" / "__klora" / "lora-texts.bin")
    for name in ("a", "b", "c"):
        found.write(name)
    return found


def test_each_state_is_read_once(files):
    first = files.texts()
    assert files.reads == ["a", "b", "c"] and first["b"].triggers == ("b",)
    assert files.texts() == first and files.reads == []
    files.write("b", size=2)
    assert files.texts() == first and files.reads == ["b"]
    files.restart()
    assert files.texts() == first and files.reads == []


def test_what_is_not_searched_stays_and_what_is_gone_leaves(files):
    files.texts()
    files.texts("a")
    assert files.texts() and files.reads == []
    del files.states["b"]
    files.texts("a")
    assert b'"b"' not in files.place.read_bytes()
    files.write("b")
    files.texts()
    assert files.reads == ["b"], "as it was, but it had left"


def test_nothing_is_written_where_nothing_changed(files):
    files.texts()
    before = os.stat(files.place).st_mtime_ns, os.stat(files.place).st_ino
    files.texts()
    files.restart()
    files.texts()
    assert (os.stat(files.place).st_mtime_ns, os.stat(files.place).st_ino) == before


def test_an_interrupt_keeps_what_was_read(files):
    class Stop(BaseException):
        pass

    def stop(done, of):
        assert of == 3
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        files.index.texts(files.states, files.states, stop)
    files.restart()
    files.texts()
    assert files.reads == ["c"]


def test_a_file_that_changed_just_now_is_read_again(tmp_path):
    reads = []
    path = tmp_path / "new"
    path.write_bytes(b"1")
    found = TextIndex(lambda p: reads.append(p) or LoraText(), lambda: None)
    for _ in range(2):
        found.texts({str(path): state_of(str(path))}, [str(path)], lambda done, of: None)
    assert len(reads) == 2
    old = State(1, 5, 1, 1, 5)
    for _ in range(2):
        found.texts({str(path): old}, [str(path)], lambda done, of: None)
    assert len(reads) == 3


def test_no_more_are_kept_than_there_is_room_for(files, monkeypatch):
    assert LIMIT >= 2000
    monkeypatch.setattr(index, "LIMIT", 2)
    assert set(files.texts()) == {"a", "b", "c"}, "all that were asked for"
    assert set(files.texts()) == {"a", "b", "c"} and files.reads == ["a"]
    files.restart()
    assert set(files.texts()) == {"a", "b", "c"} and len(files.reads) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:40] + b"x" + data[41:],
        lambda data: b"something else of the user's",
    ],
)
def test_a_damaged_index_is_made_anew(files, damage):
    first = files.texts()
    files.place.write_bytes(damage(files.place.read_bytes()))
    files.restart()
    assert files.texts() == first and len(files.reads) == 3
    files.restart()
    assert files.texts() == first and files.reads == []


@pytest.mark.parametrize(
    "rows",
    [
        {},
        3,
        [3, None, []],
        [["a", [1, 5, 1, 1, 5], ["a"], [], [], [], 3]],
        [["a", [1, 5, 1, 1], ["a"], [], [], [], ""]],
        [["a", [1, 5, 1, 1, 5], [["a"]], [], [], [], ""]],
        [[None, [1, 5, 1, 1, 5], [], [], [], [], ""]],
    ],
)
def test_rows_that_are_none_are_left_out(files, rows):
    index._file(files.place).write(json.dumps(rows).encode())
    files.texts()
    assert len(files.reads) == 3


def test_where_nothing_can_be_written_all_goes_on(files, tmp_path):
    (tmp_path / "user").write_bytes(b"a file in the folder's place")
    assert set(files.texts()) == {"a", "b", "c"}
    assert files.texts() and files.reads == []


def test_names_of_any_bytes_are_kept(files):
    files.write("\udce4\n\"'\u6c34")
    first = files.texts()
    files.restart()
    assert files.texts() == first and files.reads == []


def test_the_state_of_a_file(tmp_path):
    path = tmp_path / "x"
    assert state_of(str(path)) is None and state_of("a\0") is None
    path.write_bytes(b"12")
    first = state_of(str(path))
    assert first.size == 2 and state_of(str(path)) == first
    # Of the same size, with its old time put back: the system's own time tells.
    times = os.stat(path)
    path.write_bytes(b"34")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert state_of(str(path)) != first
