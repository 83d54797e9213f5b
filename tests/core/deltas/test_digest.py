"""Digests tell contents apart, whatever object holds them; scores follow the content."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from klora_core.deltas import (
    Dense,
    Digests,
    Hadamard,
    Kron,
    LayerWeight,
    LowRank,
    Remapped,
    contents,
    cryptographic,
    digest,
    digests,
)
from klora_core.deltas.digest import runs
from klora_core.scores import Request, Score, ScoreCache
from tests.support.digests import same_digest

WORDS = 1 << 16
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64, torch.int64]


def r(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def one(delta):
    return digests([delta])[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 7, 8, 9, 1000, 2 * WORDS + 3])
def test_equal_contents_are_equal_and_each_changed_element_shows(dtype, n):
    tensor = (r(n) * 8).to(dtype)
    first = digest(tensor)
    assert len(first) == 16
    assert digest(tensor.clone()) == first
    for place in {0, n // 2, n - 1} if n else ():
        changed = tensor.clone()
        changed[place] = 3 if float(changed[place]) != 3 else 2
        assert digest(changed) != first


@pytest.mark.parametrize("bit", range(64))
def test_single_bits_and_pairs_of_bits_show(bit):
    """Two flipped top bits cancel in a sum modulo 2^64 of odd multiples."""
    words = torch.zeros(50, dtype=torch.int64)
    flip = torch.tensor(-(1 << 63) if bit == 63 else 1 << bit)
    found = {digest(words)}
    for i in range(50):
        for j in range(i, 50):
            changed = words.clone()
            changed[i] ^= flip
            if j > i:
                changed[j] ^= flip
            found.add(digest(changed))
    assert len(found) == 1 + 50 + 50 * 49 // 2


def test_a_negated_tensor_and_negated_columns_show():
    for dtype in (torch.float32, torch.bfloat16, torch.float8_e4m3fn):
        tensor = r(64, 64).to(dtype)
        signs = torch.ones(64)
        signs[1::2] = -1
        rows = torch.ones(64, 1)
        rows[:2] = -1
        made = (tensor.float() * sign for sign in (1, -1, signs, -signs, signs[:, None], rows))
        assert len({digest(t.to(dtype)) for t in made}) == 6


def test_order_shape_and_dtype_count():
    tensor = r(6, 8)
    others = [tensor.flip(0), tensor.flip(1), tensor.T.contiguous(), tensor.view(8, 6), tensor.view(-1)]
    others += [tensor.view(torch.int32), tensor.roll(2, 1), tensor[[1, 0, 2, 3, 4, 5]]]
    assert len({digest(t) for t in (tensor, *others)}) == 9
    tiles = torch.cat([torch.full((2 * WORDS,), v) for v in (1.0, 2.0)])
    assert digest(tiles) != digest(tiles.flip(0))


def test_strides_do_not_count():
    tensor = r(6, 9)
    assert digest(tensor.T) == digest(tensor.T.contiguous())
    assert digest(tensor[:, ::2]) == digest(tensor[:, ::2].contiguous())
    assert digest(r(40)[3:]) == digest(r(40)[3:].clone()), "another alignment"
    assert digest(r(1).expand(5)) == digest(r(1).expand(5).clone())


def test_each_part_of_a_delta_counts():
    up, down = r(12, 2), r(2, 12)
    a, b = r(3, 3, seed=1), r(4, 4, seed=2)
    deltas = [
        LowRank(up, down),
        LowRank(up, down, 0.5),
        LowRank(up, down, -1.0),
        LowRank(up.half(), down),
        LowRank(up, down).rows(0, 6),
        LowRank(up, down).rows(6, 6),
        LowRank(down.T, up.T),
        Dense(up, 2),
        Dense(up, 1),
        Hadamard(up, down, up, down),
        Kron(a, b),
        Kron(b, a),
        Kron(a, b).rows(0, 11),
        Kron(a, b).rows(1, 11),
        Kron(a, b).reordered(torch.arange(12)),
        Kron(a, b).reordered(torch.arange(11, -1, -1)),
        Kron((a, a), a),
        Kron(a, (a, a)),
    ]
    for of in (digests, cryptographic):
        assert len(set(of(deltas))) == len(deltas)
        assert of(deltas) == [of([delta])[0] for delta in deltas]
        assert of([LowRank(up.clone(), down.clone(), 1.0)]) == of(deltas[:1])
    assert cryptographic([]) == []


def test_who_knows_the_weights_of_a_digest_makes_two_contents_of_it_but_of_no_cryptographic_one():
    one_, other = (LowRank(words, torch.ones(1, 3)) for words in same_digest())
    assert digests([one_]) == digests([other]) and cryptographic([one_]) != cryptographic([other])


def test_a_weight_that_a_change_depends_on_counts_whole():
    weights = r(4, 4), r(4, 4, seed=1)
    parts = torch.ones(1)
    bound = [Remapped(LayerWeight(lambda _, w=w: w, (4, 4), 1, b"one mark"), parts) for w in weights]
    assert one(bound[0]) == one(bound[1])
    assert cryptographic(bound[:1]) != cryptographic(bound[1:])
    assert cryptographic(bound[:1]) == cryptographic(bound[:1])


@pytest.mark.slow
def test_the_same_in_every_process():
    code = "import torch; from klora_core.deltas import digest; print(digest(torch.arange(1e6)).hex())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert digest(torch.arange(1e6)).hex() == found.strip()


class Reader:
    """Reads tensors, and counts them."""

    def __init__(self):
        self.read = []

    def __call__(self, tensor):
        self.read.append(tensor)
        return digest(tensor)


def test_what_rests_is_read_once():
    deltas = [LowRank(r(6, 2, seed=i), r(2, 6)) for i in range(3)]
    expected = digests(deltas)
    reader = Reader()
    memory = Digests(reader)
    for _ in range(2):
        assert digests([*deltas, *deltas], memory) == [*expected, *expected]
        assert memory.of(deltas[0].up) == digest(deltas[0].up)
    assert len(reader.read) == 6, "also where scoring and another ask for the same"
    deltas[0].up[0, 0] += 1
    assert digests(deltas)[0] != expected[0], "without a memory, anew"
    assert digests(deltas, Digests())[0] != expected[0]
    assert digests(deltas, memory) == expected, "who says that they rest is believed"
    assert len(reader.read) == 6


def test_a_memory_takes_no_tensor_for_one_that_is_gone():
    """It holds what it has read: no other can have its id."""
    memory = Digests()
    for seed in range(50):
        assert memory.of(r(9, seed=seed)) == digest(r(9, seed=seed))


@pytest.mark.parametrize("chunk", [1 << 25, 1 << 10])
def test_contents_of_tensors_show_every_change(chunk):
    whole = r(1000).half()
    tensors = [*whole.split([1, 300, 699]), r(7), r(4, 6).T, torch.tensor(3), r(0)]
    first = contents(tensors, chunk)
    assert len(first) == 16 and contents(tensors, chunk) == first
    for tensor in tensors:
        for place in {0, tensor.numel() // 2, tensor.numel() - 1} if tensor.numel() else ():
            kept = tensor.flatten()[place].clone()
            at = divmod(place, tensor.shape[1]) if tensor.ndim == 2 else (place,) if tensor.ndim else ()
            tensor[at] = 9
            assert contents(tensors, chunk) != first
            tensor[at] = kept
            assert contents(tensors, chunk) == first
    assert contents(tensors[1:], chunk) != first


def test_tensors_that_touch_are_read_as_one():
    assert list(runs([(4, 1200), (0, 4), (1204, 2796)])) == [(0, 4000)]
    assert list(runs([(1204, 2796), (0, 4), (3600, 400), (5000, 0)])) == [(0, 4), (1204, 2796)], (
        "not what lies between them, and nothing twice"
    )


def test_a_tensor_that_was_read_is_still_its_own():
    """torch no longer resizes what `numpy()` was called on: by that, the host's side knows who may write."""
    tensor = r(5, 6)
    contents([tensor, tensor.T])
    digest(tensor)
    assert tensor.untyped_storage().resizable()


def scorer():
    calls = []

    def score(requests):
        calls.append(len(requests))
        return [Score(float(delta.dense().abs().sum()) + k, float(k)) for delta, k in requests]

    return score, calls


def test_each_content_is_scored_once_at_each_k():
    score, calls = scorer()
    cache = ScoreCache(100)
    deltas = [LowRank(r(6, 2, seed=i), r(2, 6)) for i in range(3)]
    requests = [Request(delta, k) for delta in deltas for k in (4, 8)]
    expected = score(requests)
    calls.clear()
    assert cache.scores([*requests, *requests], score) == [*expected, *expected]
    assert cache.scores(requests[::-1], score) == expected[::-1]
    copies = [Request(LowRank(d.up.clone(), d.down.clone()), k) for d, k in requests]
    assert cache.scores(copies, score) == expected
    assert calls == [6]
    cache.scores([*requests, Request(deltas[0], 5)], score)
    assert calls == [6, 1]
    assert cache.scores([], score) == []


def test_bytes_changed_in_place_are_scored_again():
    score, calls = scorer()
    cache = ScoreCache(100)
    delta = LowRank(r(6, 2), r(2, 6))
    before = cache.scores([Request(delta, 4)], score)
    delta.down[1, 5] += 1
    assert cache.scores([Request(delta, 4)], score) == score([Request(delta, 4)]) != before


def test_a_file_overwritten_under_the_same_stamp_is_scored_again(tmp_path):
    """The mapped tensors are the same objects, and size and date of the file stay."""
    score, _ = scorer()
    cache = ScoreCache(100)
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for place, seed in ((path, 0), (other, 5)):
        save_file({"up": r(600, 4, seed=seed), "down": r(4, 500, seed=seed)}, place)
    with safe_open(path, "pt") as file:
        delta = LowRank(file.get_tensor("up"), file.get_tensor("down"))
    before = cache.scores([Request(delta, 4)], score)
    stamp = path.stat()
    with open(path, "r+b") as file:
        file.write(other.read_bytes())
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stamp.st_size, stamp.st_mtime_ns)
    with safe_open(path, "pt") as file:
        again = LowRank(file.get_tensor("up"), file.get_tensor("down"))
    fresh = score([Request(again, 4)])
    assert cache.scores([Request(again, 4)], score) == fresh != before
    # Whether the old objects see the new bytes depends on how they were read: scores follow, either way.
    assert cache.scores([Request(delta, 4)], score) == score([Request(delta, 4)])


def test_deltas_that_rest_are_not_read_again():
    score, calls = scorer()
    reader, requests = Reader(), [Request(LowRank(r(6, 2, seed=i), r(2, 6)), 4) for i in range(3)]
    cache, memory = ScoreCache(100), Digests(reader)
    for _ in range(2):
        assert cache.scores(requests, score, memory) == score(requests)
    assert len(reader.read) == 6
    assert cache.scores(requests, score) == score(requests)
    assert calls[0] == 3 and calls.count(3) == 4, "and the keys are the same without it"


def test_the_oldest_scores_go_first():
    score, calls = scorer()
    cache = ScoreCache(4)
    requests = [Request(LowRank(r(6, 2, seed=i), r(2, 6)), 4) for i in range(6)]
    assert cache.scores(requests, score) == score(requests), "more than the limit at once"
    calls.clear()
    cache.scores(requests[2:], score)
    assert calls == []
    cache.scores(requests[2:3], score)
    cache.scores(requests[:1], score)
    cache.scores(requests[2:3], score)
    assert calls == [1], "what was used last stays"
    cache.scores(requests[3:4], score)
    assert calls == [1, 1]
