"""Changes that need the layer's weight: what they make of it where the usual case does not tell."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import LayerWeight
from klora_core.errors import KLoraError
from klora_core.files import bound, hindered
from klora_core.files.adapters import change_of

EPSILON = 2.0**-23


def base_of(weight):
    return LayerWeight.of(lambda device: weight.to(device), torch.device("cpu"))


def close(found, wanted):
    torch.testing.assert_close(found.double(), wanted.double(), rtol=2e-5, atol=2e-6)


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(7)
    return lambda *shape: torch.randn(*shape, generator=generator)


def test_a_plain_change_stays_as_it_is_in_the_order_of_the_rows(draw):
    up, down, order = draw(6, 2), draw(2, 4), torch.tensor([3, 4, 5, 0, 1, 2])
    change = change_of("m", {"up": up, "down": down})
    weight = base_of(draw(6, 4))
    close(bound(change, weight).dense(), up @ down)
    close(bound(change, weight, order=order).dense(), (up @ down)[order])


def test_a_rotation_can_t_follow_another_order(draw):
    oft = change_of("m", {"oft_blocks": draw(2, 4, 4)})
    plain = change_of("m", {"diff": draw(8, 4)})
    order, weight = torch.arange(8).roll(4), base_of(draw(8, 4))
    reason = "it is OFT or BOFT, but the model keeps the layer's rows in another order"
    assert hindered(oft, order) == reason
    assert hindered(oft, None) is None and hindered(plain, order) is None and hindered(plain, None) is None
    with pytest.raises(KLoraError, match=f"^Use a plain LoRA: layer m: {reason}.$"):
        bound(oft, weight, order=order)
    assert bound(oft, weight).shape == (8, 4)


@pytest.mark.parametrize("square", [False, True])
def test_a_dora_of_columns_in_another_order_of_rows(draw, square):
    n = 6 if square else 4
    weight, up, down, magnitude = draw(6, n), draw(6, 2), draw(2, n), draw(1, n).abs()
    order = torch.tensor([3, 4, 5, 0, 1, 2])
    change = change_of("m", {"up": up, "down": down, "dora_scale": magnitude})
    new = weight + (up @ down)[order]
    new = new * (magnitude / new.norm(dim=0))
    close(bound(change, base_of(weight), order=order).dense(), new - weight)


@pytest.mark.parametrize("of_base", [False, True])
def test_a_dora_of_pefts_has_the_papers_norms_whatever_the_hosts_are(draw, of_base):
    weight, up, down, magnitude = draw(6, 4), draw(6, 2), draw(2, 4), draw(6).abs()
    change = change_of("m", {"up": up, "down": down, "magnitude": magnitude})
    new = weight + up @ down
    wanted = new * (magnitude / new.norm(dim=1))[:, None] - weight
    close(bound(change, base_of(weight), norms_of_base=of_base).dense(), wanted)


def test_a_row_of_nearly_nothing_is_no_row_of_infinity():
    """The host adds the same to the norms."""
    weight = torch.tensor([[6e-8, 8e-8], [3.0, 4.0]])
    parts = {"up": torch.zeros(2, 1), "down": torch.ones(1, 2), "dora_scale": torch.tensor([[2.0], [10.0]])}
    found = bound(change_of("m", parts), base_of(weight)).dense() + weight
    close(found[0], weight[0] * 2.0 / (1e-7 + EPSILON))
    close(found[1], torch.tensor([6.0, 8.0]))


@pytest.mark.parametrize("alpha", [None, 6.0])
def test_a_glora_of_all_inputs_of_a_convolution(draw, alpha):
    """As ComfyUI and LyCORIS's linear layers have it: a1 and a2 mix a kernel's places too."""
    weight, rank = draw(6, 2, 3, 3), 2
    a1, a2, b1, b2 = draw(18, rank), draw(rank, 18), draw(6, rank), draw(rank, 18)
    parts = {"glora_a1": a1, "glora_a2": a2, "glora_b1": b1, "glora_b2": b2}
    if alpha is not None:
        parts["alpha"] = torch.tensor(alpha)
    wanted = (b1 @ b2 + weight.flatten(1) @ a1 @ a2) * (1.0 if alpha is None else alpha / rank)
    close(bound(change_of("m", parts), base_of(weight)).dense(), wanted)


def test_rows_of_a_glora(draw):
    weight, sizes = draw(6, 4), {"a1": (4, 2), "a2": (2, 4), "b1": (6, 2), "b2": (2, 4)}
    parts = {f"glora_{name}": draw(*size) for name, size in sizes.items()}
    a1, a2, b1, b2 = parts.values()
    found = bound(change_of("m", parts).cut(2, 3), base_of(weight[2:5])).dense()
    close(found, (b1 @ b2 + weight @ a1 @ a2)[2:5])


@pytest.mark.parametrize("wrong", ["glora_a1", "glora_a2", "both"])
def test_a_glora_of_another_layer_is_refused(draw, wrong):
    sizes = {"glora_a1": (4, 2), "glora_a2": (2, 4), "glora_b1": (6, 2), "glora_b2": (2, 4)}
    for name in ("glora_a1", "glora_a2") if wrong == "both" else (wrong,):
        sizes[name] = tuple(5 if size == 4 else size for size in sizes[name])
    change = change_of("m", {name: draw(*size) for name, size in sizes.items()})
    a1, a2 = sizes["glora_a1"][0], sizes["glora_a2"][1]
    words = rf"^Download .*: layer m: its GLoRA has \({a1}, 2\) and \(2, {a2}\) for 4 in"
    with pytest.raises(KLoraError, match=words):
        bound(change, base_of(draw(6, 4)))
