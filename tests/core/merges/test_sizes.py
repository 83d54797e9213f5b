"""What is too large to merge, as a number or as a layer, is one line that names the layer."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense, Hadamard, Kron, LayerWeight, LowRank, Remapped
from klora_core.errors import KLoraError
from klora_core.merges import merge, named
from klora_core.merges.method import Parameter, Term, check_sizes
from klora_core.names import Slot
from tests.support.merging import lora, rows

from .test_merge import NAMES, model


@pytest.mark.parametrize("method", NAMES)
def test_overflow_names_the_layer(method):
    huge = [LowRank(d.up * 1e30, d.down * 1e30, d.scale) for d in model(1)]
    with pytest.raises(KLoraError, match=r"layer slot\.0 overflows") as caught:
        merge(rows(huge, model(2)), named(method), (1e30, 1.0))
    assert "\n" not in str(caught.value)


HUGE = {
    "entries that are each finite": lambda d: LowRank(d.up * 1e25, d.down * 1e25, d.scale),
    "of both signs": lambda d: LowRank(d.up * 1e37, d.down * 1e30, d.scale),
    "by the scale": lambda d: LowRank(d.up, d.down, 1e300),
    "by an infinite scale": lambda d: LowRank(d.up, d.down, float("inf")),
    "in float64": lambda d: LowRank(d.up.double() * 1e200, d.down, d.scale),
    "by a factor that no basis can be made of": lambda d: LowRank(d.up * 1e38, d.down * 1e-38, d.scale),
    "a matrix": lambda d: Dense(torch.full((24, 40), 3e38), 24, 10.0),
    "a LoHa": lambda d: Hadamard(*(t * 1e15 for t in (d.up, d.down) * 2), 1.0),
    "a LoKr": lambda d: Kron(torch.full((4, 4), 1e25), torch.full((6, 10), 1e25), 1.0),
}


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("huge", HUGE.values(), ids=HUGE)
def test_a_product_that_float32_does_not_hold_names_the_layer(method, huge):
    first, *rest = model(1)
    with pytest.raises(KLoraError, match=r"layer slot\.0 overflows") as caught:
        merge(rows([huge(first), *rest], model(2)), named(method), (1.0, 1.0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", NAMES)
def test_products_near_float32s_end_are_merged(method):
    large = [LowRank(d.up * 1e22, d.down * 1e13, d.scale) for d in model(1)]
    found = merge(rows(large, model(2)), named(method), (1.0, 1.0)).deltas
    assert all(torch.isfinite(change.dense()).all() for change in found.values())


def huge(side):
    """A LoKr of 160 KB or less that is a matrix of gigabytes."""
    return Kron(torch.ones(side, side), torch.ones(side, side))


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("rank", [None, 8])
def test_a_layer_larger_than_any_network_s_is_refused_by_name(method, rank):
    # Of 20,000 x 20,000 a matrix is less than that, and its factors of full rank are more.
    for delta in (huge(200), huge(150), Kron(torch.ones(100, 100), torch.ones(200, 200))):
        side = delta.shape[0]
        with pytest.raises(
            KLoraError, match=rf"layer slot\.1: its LoKr of {side} x {side} would take \d+\.\d GB"
        ):
            merge(rows([lora(4, 4, 1, 1), delta]), named(method), (1,), rank=rank)


@pytest.mark.parametrize("method", ["ties", "dare", "dare-ties", "magnitude-prune"])
def test_what_a_method_multiplies_out_counts_too(method):
    wide = LowRank(torch.zeros(1, 1).expand(40_000, 1), torch.zeros(1, 1).expand(1, 40_000))
    with pytest.raises(KLoraError, match=r"layer slot\.0: its LoRA of 40000 x 40000 would take 6\.4 GB"):
        merge(rows([wide]), named(method), (1,))


def test_layers_that_are_large_together_need_a_rank():
    """Each is a layer of FLUX: as factors of full rank 19 million numbers, from 6 thousand."""
    layer = Kron(torch.ones(48, 48), torch.ones(64, 64))
    with pytest.raises(
        KLoraError, match=r"^Give a rank .*: layer slot\.\d+ and others would be of full rank, \d+"
    ):
        merge(rows([layer] * 300), named("linear"), (1,))


def test_a_rank_or_what_the_files_hold_is_reason_enough():
    """Layers that are large together: one that is cut, and one whose files hold as much, are merged."""
    layer = Kron(torch.ones(48, 48), torch.ones(64, 64))
    terms = {Slot(f"slot.{i}"): (Term(0, layer, 1.0), Term(1, layer, 1.0)) for i in range(300)}
    check_sizes(terms, named("linear"), 64)
    check_sizes(terms, named("svd"), None)
    # Where each file holds an eighth of what they are together, nothing has grown beyond bounds.
    wide = LowRank(torch.ones(1, 1).expand(3072, 3072), torch.ones(1, 1).expand(3072, 3072))
    check_sizes({slot: (Term(0, wide, 1.0),) for slot in terms}, named("linear"), None)
    with pytest.raises(KLoraError, match="of full rank, 14.5 GB in all"):
        once = dict(list(terms.items())[:96])
        check_sizes(once, named("linear"), None)


def test_the_most_that_is_merged():
    """As many numbers as the largest layer may have, and as all layers together may."""
    wide = LowRank(torch.ones(1, 1).expand(3 << 13, 1), torch.ones(1, 1).expand(1, 1 << 14))
    product = Kron(torch.ones(3 << 13, 1), torch.ones(1, 1 << 14))
    for delta, method in ((wide, "ties"), (product, "linear")):
        check_sizes({Slot("a"): (Term(0, delta, 1.0),)}, named(method), 8)
    product = Kron(torch.ones((3 << 13) + 1, 1), torch.ones(1, 1 << 14))
    with pytest.raises(KLoraError, match=r"layer a: its LoKr of 24577 x 16384 would take 1\.6 GB"):
        check_sizes({Slot("a"): (Term(0, product, 1.0),)}, named("linear"), 8)
    # Factors are never multiplied out for their own sake.
    larger = LowRank(torch.ones(1, 1).expand(1 << 16, 1), torch.ones(1, 1).expand(1, 1 << 16))
    check_sizes({Slot("a"): (Term(0, larger, 1.0),)}, named("linear"), 8)
    layer = Kron(torch.ones(64, 64), torch.ones(128, 128))
    terms = {Slot(f"slot.{i}"): (Term(0, layer, 1.0),) for i in range(5)}
    check_sizes(dict(list(terms.items())[:4]), named("linear"), None)
    with pytest.raises(KLoraError, match=r"layer slot\.0 and others would be of full rank, 2\.7 GB in all"):
        check_sizes(terms, named("linear"), None)


@pytest.mark.parametrize("half", [False, True])
def test_what_a_lora_adds_as_factors(half):
    up, down = torch.randn(6, 2), torch.randn(2, 4)
    up, down = (up.half(), down.half()) if half else (up, down)
    term = Term(0, LowRank(up, down, 0.5), -3.0)
    own, weighted = term.factors(), term.weighted()
    assert (own.scale, weighted.scale, own.up.dtype) == (0.5, -1.5, torch.float32)
    torch.testing.assert_close(weighted.dense(), -1.5 * up.float() @ down.float())


def test_the_largest_layer_is_named():
    small, large = (Kron(torch.ones(size, size), torch.ones(64, 64)) for size in (48, 96))
    terms = {Slot(f"slot.{i}"): (Term(0, large if i == 7 else small, 1.0),) for i in range(40)}
    with pytest.raises(KLoraError, match=r"layer slot\.7 and others"):
        check_sizes(terms, named("linear"), None)


MOST = torch.finfo(torch.float32).max


@pytest.mark.parametrize(
    ("up", "down", "scale", "weight", "fits"),
    [
        ([[MOST]], [[1.0]], 1.0, 1.0, True),
        ([[MOST]], [[1.0]], 1.0, 1.5, False),
        ([[MOST]], [[1.0]], 0.5, -2.0, True),
        ([[MOST, 0.0]], [[1.0, 0.0], [0.0, 1.0]], 1.0, 1.0, True),
        ([[1e25] * 4], [[1e-10]] * 4, 1.0, 1.0, True),
        ([[1e30], [1e30]], [[1e10]], 1.0, 1.0, False),
        ([[1e30], [1e30]], [[1e10]], 1.0, 1e-10, True),
    ],
)
def test_what_float32_holds(up, down, scale, weight, fits):
    assert Term(0, LowRank(torch.tensor(up), torch.tensor(down), scale), weight).fits() is fits


def test_what_depends_on_a_layers_weight_is_not_made_to_know_its_size():
    weight = LayerWeight.of(lambda device: torch.full((4, 4), MOST), torch.device("cpu"))
    change = Remapped(weight, torch.ones(1), columns=torch.full((4,), MOST))
    assert Term(0, change, 1e30).fits()


NUMBER = Parameter("n", 0.5, "", 0.0, 1.0)
WHOLE = Parameter("n", 3, "", low=1, high=9)
CHOICE = Parameter("n", "a", "", choices=("a", "b"))


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        *((NUMBER, value, float(value)) for value in (0.0, 0, 0.25, 1)),
        *((WHOLE, value, int(value)) for value in (1, 9, 4.0)),
        *((CHOICE, value, value) for value in "ab"),
        (Parameter("n", 0.5, ""), -1e9, -1e9),
    ],
)
def test_a_parameters_value_in_its_own_type(parameter, value, found):
    assert parameter.checked(value) == found and type(parameter.checked(value)) is type(found)


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        (NUMBER, -0.5, "n must be at least 0, got -0.5."),
        (NUMBER, 1.5, "n must be at most 1, got 1.5."),
        *((NUMBER, value, f"n must be a finite number, got {value}.") for value in (True, "x", None)),
        *((NUMBER, float(value), f"n must be a finite number, got {value}.") for value in ("inf", "nan")),
        (WHOLE, 2.5, "n must be a whole number, got 2.5."),
        (CHOICE, "c", "n must be one of a, b; got c."),
    ],
)
def test_a_parameters_value_that_is_none(parameter, value, words):
    with pytest.raises(KLoraError) as raised:
        parameter.checked(value)
    assert str(raised.value) == words


@pytest.mark.parametrize(
    ("method", "has"),
    [("linear", "it has none"), ("ties", "it has density, scope"), ("dare", "it has density, seed")],
)
def test_parameters_that_a_method_has_not(method, has):
    with pytest.raises(KLoraError) as raised:
        named(method).values({"mu": 1, "alpha": 2})
    assert str(raised.value) == (
        f"Leave out alpha, mu: {named(method).label} has no parameter alpha, mu: {has}."
    )


def test_a_methods_parameters_are_those_given_and_its_own():
    assert named("ties").values({"scope": "layer"}) == {"density": 0.2, "scope": "layer"}
    assert named("ties").values({}) == {"density": 0.2, "scope": "model"}


def test_layers_of_the_largest_network_are_no_reason():
    """FLUX.2's, of full rank: refused for nothing but what they would be together."""
    largest = Kron(torch.ones(288, 64), torch.ones(192, 96))
    assert largest.shape == (55_296, 6144)
    terms = {Slot("single_blocks.0.linear1"): (Term(0, largest, 1.0),)}
    check_sizes(terms, named("ties"), None)
    check_sizes(terms, named("linear"), 64)
