"""Scores on disk: found by the next process, bounded, and made anew where the file is not theirs."""

from __future__ import annotations

import hashlib
import math
import os
import struct
import threading

import numpy as np
import pytest
import torch

from klora_core import kept
from klora_core.deltas import LowRank, digests
from klora_core.scores import Request, Score, ScoreCache, ScoreFile
from klora_core.scores import disk as score_file
from tests.support.digests import same_digest


def deltas(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [LowRank(torch.randn(6, 2, generator=rng), torch.randn(2, 6, generator=rng)) for _ in range(count)]


class Scorer:
    """Stands for scoring; counts what it is asked for."""

    def __init__(self):
        self.slots = 0

    def __call__(self, requests):
        self.slots += len(requests)
        return [Score(float(delta.up.sum()) + k, 1 / 3) for delta, k in requests]


def start(path, requests, **options):
    """(scores, slots scored) of a process that knows nothing yet."""
    scorer = Scorer()
    found = ScoreCache(100, lambda: ScoreFile(path, **options)).scores(requests, scorer)
    return found, scorer.slots


@pytest.fixture
def path(tmp_path):
    return tmp_path / "user" / "__klora" / "scores.bin"


@pytest.fixture
def requests():
    return [Request(delta, k) for delta in deltas(3) for k in (4, 8)]


@pytest.fixture
def opened(monkeypatch):
    """What is done to files, in order: ``rb`` for a reading, ``replace`` for a writing."""
    names, replace = [], os.replace

    def opening(path, mode):
        names.append(mode)
        return path.open(mode)

    def replacing(beside, path):
        names.append("replace")
        replace(beside, path)

    monkeypatch.setattr(kept, "open", opening, raising=False)
    monkeypatch.setattr(kept.os, "replace", replacing)
    return names


def test_the_second_start_scores_nothing_and_writes_nothing(path, requests, opened):
    first, slots = start(path, requests)
    assert slots == 6 and opened == ["rb", "rb", "replace"]
    opened.clear()
    copies = [Request(LowRank(d.up.clone(), d.down.clone()), k) for d, k in requests]
    assert start(path, copies) == (first, 0), "the very numbers"
    assert opened == ["rb"]
    assert [each.name for each in path.parent.iterdir()] == ["scores.bin"], "nothing is left beside it"


def test_what_memory_knows_is_not_looked_up(path, requests, opened):
    cache, scorer = ScoreCache(100, lambda: ScoreFile(path)), Scorer()
    cache.scores(requests, scorer)
    opened.clear()
    cache.scores(requests, scorer)
    assert opened == [] and scorer.slots == 6
    cache.scores([*requests, Request(requests[0].delta, 5)], scorer)
    assert opened == ["rb", "rb", "replace"] and scorer.slots == 7


def test_only_what_is_new_is_scored(path, requests):
    start(path, requests[:4])
    assert start(path, requests)[1] == 2
    assert start(path, requests)[1] == 0


DAMAGES = [
    b"",
    b"{}",
    bytes(range(256)) * 20,
    lambda data: data[:-1],
    lambda data: data[:40],
    lambda data: data + b"\0",
    lambda data: data + data[32:64],
    lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
    lambda data: b"\x80\x04" + data[2:],
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_replaced(path, requests, damage):
    found, _ = start(path, requests)
    path.write_bytes(damage(path.read_bytes()) if callable(damage) else damage)
    assert start(path, requests) == (found, 6)
    assert start(path, requests) == (found, 0)


@pytest.mark.parametrize("change", ["version", "made_by"])
def test_scores_of_another_definition_or_maker_are_not_taken(path, requests, change, monkeypatch):
    start(path, requests, made_by="torch 1")
    if change == "version":
        monkeypatch.setattr(score_file, "VERSION", score_file.VERSION + 1)
        assert start(path, requests, made_by="torch 1")[1] == 6
    else:
        assert start(path, requests, made_by="torch 2")[1] == 6
        assert start(path, requests, made_by="torch 1")[1] == 0, "side by side"


def test_the_oldest_go_first(path):
    many = [Request(delta, 4) for delta in deltas(8)]
    for request in many:
        start(path, [request], limit=5)
    assert path.stat().st_size == 32 + 5 * 32
    assert start(path, many[3:], limit=5)[1] == 0
    assert start(path, many[:3], limit=5)[1] == 3


def test_a_full_file_is_two_mebibytes(path):
    ScoreFile(path).add({(struct.pack("16xQ", i), 1): (1.0, 2.0) for i in range(score_file.LIMIT + 10)})
    assert path.stat().st_size == 32 + score_file.LIMIT * 32
    last = struct.pack("16xQ", score_file.LIMIT + 9)
    assert ScoreFile(path).read([(last, 1)]) == {(last, 1): (1.0, 2.0)}


def test_numbers_come_back_bit_for_bit_and_none_that_are_no_numbers(path):
    (key,) = digests(deltas(1))
    numbers = {(key, 1): (0.1 + 0.2, 5e-324), (key, 2): (1.7976931348623157e308, 0.0)}
    ScoreFile(path).add({**numbers, (key, 3): (float("inf"), 1.0), (key, 4): (1.0, float("nan"))})
    assert ScoreFile(path).read([(key, k) for k in range(6)]) == numbers


@pytest.mark.parametrize(
    "bad", [(-1.0, 2.0), (2.0, -0.5), (math.inf, 1.0), (1.0, math.nan), (-math.inf, 0.0)]
)
def test_numbers_that_are_no_sums_of_magnitudes_are_not_taken(path, requests, bad):
    """A file that somebody wrote with the right sum."""
    found, _ = start(path, requests)
    data = path.read_bytes()
    records = np.frombuffer(data[32:], score_file._RECORD).copy()
    records["scores"][0] = bad
    whole = records.tobytes()
    path.write_bytes(data[:16] + hashlib.blake2b(whole, digest_size=16).digest() + whole)
    assert start(path, requests) == (found, 1), "the others are"
    (key,) = digests(deltas(1))
    ScoreFile(path).add({(key, 1): bad})
    assert ScoreFile(path).read([(key, 1)]) == {}


def _fifo(path):
    os.mkfifo(path)


def _device(path):
    path.symlink_to("/dev/zero")


def _linked_fifo(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.parametrize("make", [_fifo, _device, _linked_fifo, lambda path: path.mkdir()])
def test_what_is_no_file_is_neither_waited_for_nor_replaced(path, requests, make, caplog):
    path.parent.mkdir(parents=True)
    make(path)
    before = os.lstat(path)
    assert start(path, requests)[1] == 6
    assert os.lstat(path).st_ino == before.st_ino and "scores are not kept" in caplog.text
    assert start(path, requests)[1] == 6


def test_nothing_that_lies_beside_it_is_written_through(path, requests):
    path.parent.mkdir(parents=True)
    other = path.parent.parent / "precious"
    other.write_text("precious")
    for name in (f"scores.bin.{os.getpid()}", "scores.bin.tmp", "scores.bin.new"):
        (path.parent / name).symlink_to(other)
    assert start(path, requests)[1] == 6 and start(path, requests)[1] == 0
    assert other.read_text() == "precious"


def test_two_contents_of_one_digest_have_scores_of_their_own(path):
    """Whoever knows the weights of the digest makes such files in no time."""
    one, other = (Request(LowRank(words, torch.ones(1, 2)), 4) for words in same_digest())
    assert digests([one.delta]) == digests([other.delta])
    first, slots = start(path, [one])
    assert slots == 1 and start(path, [one]) == (first, 0)
    second, slots = start(path, [other])
    assert slots == 1 and second != first
    assert start(path, [one]) == (first, 0) and start(path, [other]) == (second, 0)


def test_two_processes_at_once_never_damage_it(path, requests, caplog):
    """Here threads: each reads and replaces the file again and again, and every reading is whole."""
    files = [ScoreFile(path, made_by=name) for name in "ab"]

    def work(file):
        for i in range(30):
            file.add({(bytes([i]) * 16, 1): (float(i), 1.0)})
            assert file.read([(bytes([i]) * 16, 1)]) in ({}, {(bytes([i]) * 16, 1): (float(i), 1.0)})

    threads = [threading.Thread(target=work, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "no scores that can be used" not in caplog.text
    assert [each.name for each in path.parent.iterdir()] == ["scores.bin"]


def test_a_folder_that_can_not_be_written_costs_the_file_alone(tmp_path, requests, caplog):
    (tmp_path / "user").write_text("a file where the folder would be")
    found, slots = start(tmp_path / "user" / "__klora" / "scores.bin", requests)
    assert slots == 6 and len(found) == 6
    assert "scores are not kept" in caplog.text
