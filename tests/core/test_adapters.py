"""Every kind of adapter multiplies out to the dW that its definition says."""

from __future__ import annotations

import pytest
import torch

from klora_core import adapters
from klora_core.deltas import Dense, LowRank
from klora_core.errors import KLoraError

torch.manual_seed(0)
R = torch.randn
ALPHA = torch.tensor(2.0)


def close(parts, expected, rank):
    found = adapters.delta("m", parts)
    torch.testing.assert_close(found.dense(), expected.flatten(1), rtol=1e-4, atol=1e-4)
    assert found.rank == rank
    return found


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.b.lora_up.weight", ("a.b", "up")),
        ("a.b.lora_down.weight", ("a.b", "down")),
        ("a.b.lora_mid.weight", ("a.b", "mid")),
        ("a.b.lora_B.weight", ("a.b", "up")),
        ("a.b.lora_A.default.weight", ("a.b", "down")),
        ("a.b.lora_A", ("a.b", "down")),
        ("a.b.lora.up.weight", ("a.b", "up")),
        ("a.to_q_lora.down.weight", ("a.to_q", "down")),
        ("a.b.lora_linear_layer.up.weight", ("a.b", "up")),
        ("double_blocks.0.processor.qkv_lora1.up.weight", ("double_blocks.0.processor.qkv_lora1", "up")),
        ("a.b.alpha", ("a.b", "alpha")),
        ("a.b.hada_w1_a", ("a.b", "hada_w1_a")),
        ("a.b.lokr_w2_b", ("a.b", "lokr_w2_b")),
        ("a.b.diff", ("a.b", "diff")),
        ("a.b.diff_b", ("a.b", "vector")),
        ("a.b.lora_B.bias", ("a.b", "vector")),
        ("a.b.w_norm", ("a.b", "vector")),
        ("a.b.dora_scale", ("a.b", "refused:DoRA")),
        ("a.b.lora_magnitude_vector.weight", ("a.b", "refused:DoRA")),
        ("a.b.oft_blocks", ("a.b", "refused:OFT or BOFT")),
        ("model.diffusion_model.input_blocks.0.0.weight", None),
    ],
)
def test_split(key, expected):
    assert adapters.split(key) == expected


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


@pytest.mark.parametrize(("r1", "r2", "kind"), [(3, 2, LowRank), (8, 8, Dense)])
def test_loha_is_a_low_rank_product_where_that_is_smaller(r1, r2, kind):
    a1, b1, a2, b2 = R(24, r1), R(r1, 40), R(24, r2), R(r2, 40)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": ALPHA}
    found = close(parts, (a1 @ b1) * (a2 @ b2) * 2.0 / r1, min(r1 * r2, 24))
    assert isinstance(found, kind)


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


def test_diff_is_the_matrix_itself_and_vectors_are_none():
    weight = R(6, 5, 3, 3)
    close({"diff": weight}, weight, 6)
    assert adapters.delta("m", {"diff": R(6)}) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_dtypes_stay_as_stored(dtype):
    up, down = R(6, 2).to(dtype), R(2, 5).to(dtype)
    found = adapters.delta("m", {"up": up, "down": down})
    assert (found.up.dtype, found.down.dtype) == (dtype, dtype)
    torch.testing.assert_close(found.dense(), up.float() @ down.float())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"up": R(4, 2)}, "has up but no down"),
        ({"down": R(2, 4), "alpha": ALPHA}, "has down but no up"),
        ({"up": R(4, 2), "down": R(3, 4)}, r"do not fit together \(up \(4, 2\), down \(3, 4\)\)"),
        ({"up": R(4), "down": R(3, 4)}, "do not fit together"),
        ({"up": R(4, 2), "down": R(2, 4), "mid": R(3, 3, 1, 1)}, "do not fit together"),
        ({"up": R(4, 2), "down": R(2, 4) * torch.nan}, "down holds NaN or inf"),
        ({"up": R(4, 2) / 0.0, "down": R(2, 4)}, "up holds NaN or inf"),
        ({"up": R(4, 2), "down": R(2, 4), "alpha": torch.tensor(torch.inf)}, "alpha holds NaN or inf"),
        ({"up": torch.ones(4, 2, dtype=torch.int8), "down": R(2, 4)}, "stored as int8"),
        ({"up": R(4, 0), "down": R(0, 4)}, "is empty"),
        ({"up": R(4, 2), "down": R(2, 4), "refused:DoRA": R(4, 1)}, "is DoRA"),
        ({"up": R(4, 2), "down": R(2, 4), "diff": R(4, 4)}, "diff and lora"),
        ({"hada_w1_a": R(4, 2), "hada_w1_b": R(2, 4), "hada_w2_a": R(4, 2)}, "no hada_w2_b"),
        ({"hada_w1_a": R(4, 2), "hada_w1_b": R(2, 4), "hada_w2_a": R(5, 2), "hada_w2_b": R(2, 4)}, "fit"),
        ({"lokr_w1": R(2, 2)}, "no lokr_w2_a"),
    ],
)
def test_bad_layers_are_named(parts, message):
    with pytest.raises(KLoraError, match=message) as caught:
        adapters.delta("some.layer", parts)
    assert "layer some.layer" in str(caught.value)
