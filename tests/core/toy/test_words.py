"""The toy model's captions: a word has one vector wherever it stands, and a prompt has room for six."""

from __future__ import annotations

import pytest
import torch

from klora_core import toy
from klora_core.errors import KLoraError


def test_a_words_vector_is_its_own():
    context, pooled = toy.encode("ruvak sarn")
    again, also = toy.encode("sarn ruvak")
    assert context.shape == (1, toy.LENGTH, toy.WIDTH) and pooled.shape == (1, toy.WIDTH)
    assert torch.equal(context[:, 0], again[:, 1]) and torch.allclose(pooled, also)
    assert not torch.equal(context[:, 0], context[:, 1])
    assert torch.equal(toy.vector(toy.PAD), context[0, -1])


def test_vectors_are_those_that_the_model_was_trained_on():
    assert [round(float(x), 4) for x in toy.vector("sarn")[:3]] == [-0.2879, 0.757, 2.1187]
    assert toy.caption("flat", "polar-bear") == "flat polar bear"


def test_too_many_words_are_refused():
    with pytest.raises(KLoraError, match="^Write at most 6 words: .* these are 7: red red"):
        toy.encode("red " * 7)


def test_no_words_are_nothing_to_avoid():
    assert torch.equal(toy.encode("")[0], toy.encode("  ")[0])
