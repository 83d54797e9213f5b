"""Every kind of adapter multiplies out to the dW that its definition says."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Hadamard
from klora_core.errors import KLoraError
from klora_core.files import adapters
from klora_core.files import values as checks

torch.manual_seed(0)
R = torch.randn
ALPHA = torch.tensor(2.0)


def close(parts, expected, rank):
    change = adapters.change_of("m", parts)
    found = change.delta()
    assert change.shape == found.shape == tuple(expected.flatten(1).shape)
    torch.testing.assert_close(found.dense(), expected.flatten(1), rtol=1e-4, atol=1e-4)
    assert found.rank == rank
    return found


def test_lora_folds_alpha_over_rank():
    up, down = R(24, 4), R(4, 40)
    close({"up": up, "down": down, "alpha": ALPHA}, up @ down * 0.5, 4)
    close({"up": up, "down": down}, up @ down, 4)


def test_locon_is_flattened():
    up, down = R(24, 4, 1, 1), R(4, 10, 3, 3)
    close({"up": up, "down": down}, torch.einsum("or,rikl->oikl", up.flatten(1), down), 4)


def test_tucker_locon():
    up, down, mid = R(24, 3, 1, 1), R(4, 10, 1, 1), R(3, 4, 3, 3)
    expected = torch.einsum("op,pqkl,qi->oikl", up.flatten(1), mid, down.flatten(1)) * 2.0 / 4
    close({"up": up, "down": down, "mid": mid, "alpha": ALPHA}, expected, 3)


@pytest.mark.parametrize(("r1", "r2"), [(3, 2), (8, 8)])
def test_loha_stays_in_its_factors(r1, r2):
    a1, b1, a2, b2 = R(24, r1), R(r1, 40), R(24, r2), R(r2, 40)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": ALPHA}
    found = close(parts, (a1 @ b1) * (a2 @ b2) * 2.0 / r1, min(r1 * r2, 24))
    assert isinstance(found, Hadamard)


def test_loha_tucker():
    a1, b1, t1, a2, b2, t2 = R(3, 24), R(3, 10), R(3, 3, 3, 3), R(2, 24), R(2, 10), R(2, 2, 3, 3)
    one = torch.einsum("ijkl,jr,ip->prkl", t1, b1, a1)
    two = torch.einsum("ijkl,jr,ip->prkl", t2, b2, a2)
    parts = dict(hada_w1_a=a1, hada_w1_b=b1, hada_t1=t1, hada_w2_a=a2, hada_w2_b=b2, hada_t2=t2)
    close(parts, one * two, 6)


LOKR = {
    "whole, whole: alpha counts for nothing": (dict(lokr_w1=R(4, 8), lokr_w2=R(6, 5)), None, 20),
    "whole, decomposed": (dict(lokr_w1=R(2, 2), lokr_w2_a=R(12, 2), lokr_w2_b=R(2, 20)), 2, 4),
    "decomposed, whole": (dict(lokr_w1_a=R(4, 3), lokr_w1_b=R(3, 8), lokr_w2=R(6, 5)), 3, 15),
    "both decomposed: the second counts": (
        dict(lokr_w1_a=R(4, 1), lokr_w1_b=R(1, 8), lokr_w2_a=R(6, 2), lokr_w2_b=R(2, 5)),
        2,
        2,
    ),
}


@pytest.mark.parametrize("case", LOKR)
def test_lokr(case):
    parts, divisor, rank = LOKR[case]
    w1 = parts.get("lokr_w1", None)
    w1 = parts["lokr_w1_a"] @ parts["lokr_w1_b"] if w1 is None else w1
    w2 = parts.get("lokr_w2", None)
    w2 = parts["lokr_w2_a"] @ parts["lokr_w2_b"] if w2 is None else w2
    expected = torch.kron(w1, w2) * (2.0 / divisor if divisor else 1.0)
    close({**parts, "alpha": ALPHA}, expected, rank)


def test_lokr_convolutions():
    w1, w2 = R(4, 2), R(6, 5, 3, 3)
    close({"lokr_w1": w1, "lokr_w2": w2}, torch.kron(w1[:, :, None, None], w2), 2 * 6)
    a, b, core = R(2, 6), R(2, 5), R(2, 2, 3, 3)
    rebuilt = torch.einsum("ijkl,jr,ip->prkl", core, b, a).contiguous()
    parts = {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "lokr_t2": core}
    close(parts, torch.kron(w1[:, :, None, None], rebuilt), 4)


def test_diff_is_the_matrix_itself():
    weight = R(6, 5, 3, 3)
    close({"diff": weight}, weight, 6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_dtypes_stay_as_stored(dtype):
    up, down = R(6, 2).to(dtype), R(2, 5).to(dtype)
    found = adapters.change_of("m", {"up": up, "down": down}).delta()
    assert (found.up.dtype, found.down.dtype) == (dtype, dtype)
    torch.testing.assert_close(found.dense(), up.float() @ down.float())


LOKR_T = {"lokr_w1": R(2, 2), "lokr_w2_a": R(2, 4), "lokr_w2_b": R(2, 4)}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"up": R(4, 2)}, "has up but no down"),
        ({"down": R(2, 4), "alpha": ALPHA}, "has down but no up"),
        ({"up": R(4, 2), "down": R(3, 4)}, r"do not fit together \(up \(4, 2\), down \(3, 4\)\)"),
        ({"up": R(4), "down": R(3, 4)}, "do not fit together"),
        ({"up": R(4, 2), "down": R(2, 4), "mid": R(3, 3, 1, 1)}, "do not fit together"),
        ({"up": R(4, 2), "down": R(2, 4), "mid": R(2, 2)}, "do not fit together"),
        ({"up": R(4, 2), "down": R(2, 4), "diff": R(4, 4)}, "diff and lora"),
        ({"oft_blocks": R(2, 4, 4), "dora_scale": R(8, 1)}, "has oft and dora_scale"),
        ({"hada_w1_a": R(4, 2), "hada_w1_b": R(2, 4), "hada_w2_a": R(4, 2)}, "no hada_w2_b"),
        ({"hada_w1_a": R(4, 2), "hada_w1_b": R(2, 4), "hada_w2_a": R(5, 2), "hada_w2_b": R(2, 4)}, "fit"),
        ({"hada_w1_a": R(4, 2), "hada_w1_b": R(3, 4), "hada_w2_a": R(4, 2), "hada_w2_b": R(2, 4)}, "fit"),
        (
            {**{f"hada_w{i}_{x}": R(2, 2) for i in (1, 2) for x in "ab"}, "hada_t1": R(2, 2, 3)},
            "no hada_t2",
        ),
        (
            {**{f"hada_w{i}_{x}": R(2, 2) for i in (1, 2) for x in "ab"}, "hada_t2": R(2, 2, 3)},
            "no hada_t1",
        ),
        ({**LOKR_T, "lokr_t2": R(2, 3, 3)}, "do not fit together"),
        ({**LOKR_T, "lokr_t2": R(2, 2)}, "do not fit together"),
        ({**LOKR_T, "lokr_w2_a": R(2, 4, 1), "lokr_t2": R(2, 2, 3)}, "do not fit together"),
        ({"lokr_w1": R(2, 2)}, "no lokr_w2_a"),
        ({"lokr_w1": R(2, 2), "lokr_w2_a": R(2, 3), "lokr_w2_b": R(2, 2)}, "do not fit together"),
        ({"lokr_w1_a": R(2, 3), "lokr_w1_b": R(2, 2), "lokr_w2": R(2, 2)}, "do not fit together"),
        ({"lokr_w1": R(2, 2, 3), "lokr_w2": R(2, 2)}, "do not fit together"),
        ({"lokr_w1": R(2, 2), "lokr_w2": R(2, 2), "lokr_w2_b": R(2, 2)}, "lokr_w2 and lokr_w2_b beside"),
        ({"lokr_w1": R(1).expand(70000, 70000), "lokr_w2": R(2, 2)}, "140000 x 140000, larger than any"),
    ],
)
def test_bad_layers_are_named(parts, message):
    with pytest.raises(KLoraError, match=message) as caught:
        adapters.change_of("some.layer", parts)
    assert "layer some.layer" in str(caught.value)


@pytest.mark.parametrize(
    ("part", "tensor", "message"),
    [
        ("down", R(2, 4) * torch.nan, "down holds NaN or inf"),
        ("up", R(4, 2) / 0.0, "up holds NaN or inf"),
        ("up", torch.full((4, 2), 1e300, dtype=torch.float64), "up holds NaN or inf"),
        ("up", torch.full((2, 2), torch.nan).to(torch.float8_e4m3fn), "up holds NaN or inf"),
        ("alpha", torch.tensor(torch.inf), "alpha holds NaN or inf"),
        ("up", torch.ones(4, 2, dtype=torch.int8), "stored as int8"),
        ("up", torch.ones(4, 2, dtype=torch.bool), "stored as bool"),
        ("up", torch.ones(4, 2, dtype=torch.complex64), "stored as complex64"),
        (
            "up",
            torch.zeros(4, 2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
            "stored as float4_e2m1fn_x2",
        ),
        ("up", torch.ones(4, 2).to(torch.float8_e8m0fnu), "stored as float8_e8m0fnu"),
        ("alpha", torch.tensor(1 + 1j), "stored as complex64"),
        ("alpha", torch.tensor(True), "stored as bool"),
        (
            "alpha",
            torch.zeros(1, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
            "stored as float4_e2m1fn_x2",
        ),
        ("alpha", R(0), "alpha has 0 values"),
        ("alpha", R(2), "alpha has 2 values"),
    ],
)
def test_bad_values_are_named(part, tensor, message):
    with pytest.raises(KLoraError, match=message) as caught:
        checks.check_values("some.layer", part, tensor)
    assert "layer some.layer" in str(caught.value)


@pytest.mark.parametrize(
    "dtype", [torch.uint16, torch.int64, torch.float8_e5m2, torch.bfloat16, torch.float64]
)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_an_alpha_of_any_type_that_holds_a_number(dtype, shape):
    alpha = torch.full(shape, 2.0).to(dtype)
    checks.check_values("m", "alpha", alpha)
    up, down = R(24, 4), R(4, 40)
    close({"up": up, "down": down, "alpha": alpha}, up @ down * 0.5, 4)


def test_a_core_of_one_dimension_and_a_first_factor_with_an_empty_kernel():
    core, w1 = R(2, 2, 3), R(2, 2, 1, 1)
    w2 = torch.einsum("po,pqk,qi->oik", LOKR_T["lokr_w2_a"], core, LOKR_T["lokr_w2_b"]).flatten(1)
    wanted = torch.kron(w1.flatten(1), w2)
    assert adapters.change_of("m", {**LOKR_T, "lokr_t2": core}).shape == (8, 24)
    found = adapters.change_of("m", {**LOKR_T, "lokr_w1": w1, "lokr_t2": core}).delta()
    torch.testing.assert_close(found.dense(), wanted, rtol=1e-4, atol=1e-4)


def test_a_tucker_core_of_a_large_layer_is_folded():
    """Its size counts by the rank, not by the layer's height."""
    parts = {"lokr_w1": R(1, 1), "lokr_w2_a": R(4, 4000), "lokr_w2_b": R(4, 1000), "lokr_t2": R(4, 4, 3, 3)}
    assert adapters.change_of("m", parts).delta().shape == (4000, 9000)
    parts = {"up": R(4000, 4), "mid": R(4, 4000, 1, 1), "down": R(4000, 5000)}
    assert adapters.change_of("m", parts).delta().shape == (4000, 5000)


def test_gated_ranks_of_a_convolution():
    up, down, gate = R(4, 2, 1, 1), R(2, 3, 3, 3), torch.tensor([[0.01, -0.02]], dtype=torch.float16)
    shares = 2 * torch.softmax(gate.float().flatten() / 0.05, 0)
    wanted = torch.einsum("or,r,rikl->oikl", up.flatten(1), shares, down)
    close(adapters.plain("m", {"up": up, "down": down, adapters.GATE: gate}), wanted, 2)


def test_a_gate_without_its_layer():
    with pytest.raises(KLoraError, match="layer some.layer has up but no down"):
        adapters.plain("some.layer", {"up": R(4, 2), adapters.GATE: R(2)})


def test_an_alpha_that_is_no_number_names_the_layer():
    with pytest.raises(KLoraError, match="layer some.layer: alpha is inf"):
        adapters.change_of("some.layer", {"up": R(4, 2), "down": R(2, 4), "alpha": torch.tensor(torch.inf)})


@pytest.mark.parametrize(
    ("parts", "shape"),
    [
        # 2^32 entries, the most there may be; a core that is folded into 2^24, and one that is wide before.
        ({"lokr_w1": R(1).expand(2**16, 2**16), "lokr_w2": R(1, 1)}, (2**16, 2**16)),
        ({"up": R(2, 1), "mid": R(1, 1, 2**12), "down": R(1, 2**12)}, (2, 2**24)),
        ({"up": R(4, 1), "mid": R(1, 210, 200), "down": R(210, 400)}, (4, 80_000)),
    ],
)
def test_the_largest_that_is_taken(parts, shape):
    assert adapters.change_of("m", parts).shape == shape


def test_a_tucker_core_that_would_blow_up_is_refused():
    parts = {"up": R(2, 1), "mid": R(1, 1, 20000), "down": R(1, 20000)}
    with pytest.raises(KLoraError, match="layer m would grow from 40002 to 1 x 400000000"):
        adapters.change_of("m", parts).delta()


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16, torch.float64])
def test_gates_and_singular_values_go_into_up_in_float32(dtype):
    up, down = R(4, 2).to(dtype), R(2, 6)
    found = adapters.plain("m", {"up": up, "down": down, adapters.SINGULAR: torch.tensor([[2.0], [-0.5]])})
    assert found["up"].dtype == torch.float32
    torch.testing.assert_close(found["up"], up.float() * torch.tensor([2.0, -0.5]))


def test_rows_of_rows():
    up, down, magnitude = R(8, 2), R(2, 4), R(8, 1)
    whole = adapters.change_of("m", {"up": up, "down": down, "dora_scale": magnitude})
    part = whole.cut(2, 5).cut(1, 3)
    assert (part.shape, part.by_rows) == ((3, 4), True)
    assert torch.equal(part.dora, magnitude.flatten()[3:6])
    torch.testing.assert_close(part.delta().dense(), (up @ down)[3:6])


@pytest.mark.parametrize("number", [torch.nan, torch.inf, 0.0, -1.0])
def test_a_rank_to_divide_by_that_is_no_rank(number):
    change = adapters.change_of("some.layer", {"up": R(4, 2), "down": R(2, 4), "alpha": ALPHA})
    with pytest.raises(KLoraError, match="layer some.layer: ranknum is"):
        adapters.divided(change, torch.tensor(number))
