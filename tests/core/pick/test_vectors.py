"""Vectors are made once for each text and encoder, also over restarts, and bounded."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from klora_core.pick import VectorCache, vectors


class Encoder:
    """Stands for a text encoder; counts what it is asked for."""

    def __init__(self, folder, size=8):
        self.folder, self.size, self.asked = folder, size, []
        self.cache = VectorCache(lambda: folder)

    def encode(self, texts):
        self.asked.append(texts)
        bits = hashlib.sha256(repr(texts).encode()).digest()[: self.size]
        return np.frombuffer(bits, np.uint8).astype(np.float16)

    def __call__(self, *texts, name="aa", step=lambda done, of: None):
        self.asked.clear()
        return self.cache.vectors([(text,) for text in texts], name, self.encode, step)

    def restart(self):
        self.cache = VectorCache(lambda: self.folder)


@pytest.fixture
def encoder(tmp_path):
    return Encoder(tmp_path / "__klora")


def alike(found, told):
    return len(found) == len(told) and all(np.array_equal(*pair) for pair in zip(found, told, strict=True))


def test_each_text_is_encoded_once(encoder):
    first = encoder("x", "y", "x")
    assert encoder.asked == [("x",), ("y",)] and np.array_equal(first[0], first[2])
    assert alike(encoder("y", "x"), [first[1], first[0]]) and encoder.asked == []
    encoder.restart()
    assert alike(encoder("x", "y"), first[:2]) and encoder.asked == []
    encoder("x", "z")
    assert encoder.asked == [("z",)]


def test_texts_together_are_not_those_joined(encoder):
    cache = encoder.cache
    for texts in (("a", "b"), ("ab",), ("a, b",)):
        cache.vectors([texts], "aa", encoder.encode, lambda done, of: None)
    assert len(encoder.asked) == 3


def test_another_encoder_has_vectors_of_its_own(encoder):
    encoder("x")
    encoder("x", name="bb")
    assert encoder.asked == [("x",)]
    encoder("x")
    assert encoder.asked == [], "of the first its file is read"


def test_few_encoders_are_kept_on_disk(encoder):
    for number in range(6):
        encoder("x", name=f"{number:02x}")
    assert len(list(encoder.folder.iterdir())) == 3
    assert (encoder.folder / "vectors-05.bin").exists()


def test_no_more_are_kept_than_there_is_room_for(encoder, monkeypatch):
    monkeypatch.setattr(vectors, "LIMIT", 2)
    first = encoder("x", "y", "z")
    assert alike(encoder("x", "y", "z"), first) and encoder.asked == [("x",)]
    monkeypatch.setattr(vectors, "LIMIT", 100)
    # Two records of 16 + 16 bytes, and what a file has before them.
    monkeypatch.setattr(vectors, "_MOST", 64)
    encoder("a", "b", "c", name="cc")
    encoder.restart()
    monkeypatch.setattr(vectors, "_MOST", 1 << 20)
    encoder("a", "b", "c", name="cc")
    assert encoder.asked == [("a",)]


def test_an_interrupt_keeps_what_was_made(encoder):
    def stop(done, of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder("x", "y", "z", step=stop)
    encoder.restart()
    encoder("x", "y", "z")
    assert encoder.asked == [("z",)]


@pytest.mark.parametrize("content", [b"", b"1234", b"\0\0\0\0", b"\xff\xff\xff\xff" + b"1" * 99])
def test_what_is_no_table_is_made_anew(encoder, content):
    first = encoder("x")
    vectors._kept(encoder.folder / "vectors-aa.bin").write(content)
    encoder.restart()
    assert alike(encoder("x"), first) and encoder.asked == [("x",)]


def test_without_a_folder_the_process_keeps_them():
    encoder = Encoder(None)
    encoder("x")
    encoder("x")
    assert encoder.asked == []
