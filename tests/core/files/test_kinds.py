"""Which way round a GLoRA's factors are, and the sizes of OFT and BOFT: told by shapes alone."""

from __future__ import annotations

import pytest
import torch

from klora_core.errors import KLoraError
from klora_core.files import adapters, kinds

R = torch.randn


def new_glora(out, n, rank):
    """dW = b1 b2 + W a1 a2, as LyCORIS writes it since 2.0."""
    return {"glora_a1": R(n, rank), "glora_a2": R(rank, n), "glora_b1": R(out, rank), "glora_b2": R(rank, n)}


def old_glora(out, n, rank):
    """dW = b2 b1 + W a2 a1."""
    new = new_glora(out, n, rank)
    return {
        f"glora_{name}": new[f"glora_{other}"]
        for name, other in zip(["a1", "a2", "b1", "b2"], ["a2", "a1", "b2", "b1"], strict=True)
    }


@pytest.mark.parametrize(
    ("out", "n", "rank"), [(6, 4, 2), (4, 6, 2), (4, 4, 2), (6, 2, 4), (4, 4, 3)], ids=str
)
def test_a_glora_by_its_order(out, n, rank):
    """In a square layer both orders fit: the rank is the smaller size then."""
    for parts, is_old in ((new_glora(out, n, rank), False), (old_glora(out, n, rank), True)):
        assert kinds.is_old_glora(parts) == is_old
        assert kinds.glora_rank(parts) == rank
        assert adapters.change_of("m", parts).shape == (out, n)


def test_a_glora_of_squares_alone_is_of_the_older_order():
    """Nothing tells; so ComfyUI takes it."""
    assert kinds.is_old_glora(new_glora(4, 4, 4))


@pytest.mark.parametrize(
    ("shape", "out"),
    [((3, 4, 4), 12), ((1, 3, 4, 4), 12), ((2, 4, 2, 2), 8), ((3, 4, 4, 4), 16)],
    ids=str,
)
def test_the_rows_of_oft_and_boft(shape, out):
    """OFT [blocks, size, size]; BOFT [stages, blocks, size, size]. Neither tells the layer's inputs."""
    assert adapters.change_of("m", {"oft_blocks": R(shape)}).shape == (out, 0)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 3, 3), (2, 3, 4, 4), (4, 4), (1, 1, 2, 2, 2)], ids=str)
def test_blocks_that_turn_nothing(shape):
    """Not square; odd blocks halved; a stage without its blocks; too few or too many sizes."""
    with pytest.raises(KLoraError, match="do not fit together"):
        adapters.change_of("m", {"oft_blocks": R(shape)})


def test_a_rescale_alone_names_the_layer():
    with pytest.raises(KLoraError, match="layer m has oft_rescale but no oft_blocks"):
        adapters.change_of("m", {"oft_rescale": R(8, 1)})


def test_a_rescale_has_a_number_for_each_row():
    blocks = R(3, 4, 4)
    assert adapters.change_of("m", {"oft_blocks": blocks, "oft_rescale": R(12, 1)}).shape == (12, 0)
    with pytest.raises(KLoraError, match="do not fit together"):
        adapters.change_of("m", {"oft_blocks": blocks, "oft_rescale": R(3, 1)})
