"""What is said of a tensor or a layer that can't be used, and which values a tensor may hold."""

from __future__ import annotations

import pytest
import torch

from klora_core.errors import KLoraError
from klora_core.files import What, few_misfits, misfit, strange, unlike
from klora_core.files.values import check_values, is_finite

INF, NAN = float("inf"), float("nan")
WIDE = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
@pytest.mark.parametrize("others", [[], [1.0], [-1.0], [1.0, -1.0, 0.0]], ids=str)
@pytest.mark.parametrize("dtype", [*WIDE, torch.float8_e4m3fn, torch.float8_e5m2])
def test_one_value_that_is_not_finite_is_found(dtype, others, bad):
    values = torch.tensor([*others, bad]).to(dtype)
    # float8_e4m3fn has no infinity.
    assert is_finite(values) == bool(torch.isfinite(values.float()).all())
    assert is_finite(torch.tensor(others).to(dtype))


@pytest.mark.parametrize("dtype", WIDE)
def test_the_largest_numbers_of_a_type_are_finite(dtype):
    most = torch.finfo(dtype).max if dtype != torch.float64 else torch.finfo(torch.float32).max
    for values in ([most], [-most], [most, -most], [most, 1.0, -most]):
        assert is_finite(torch.tensor(values, dtype=dtype))


@pytest.mark.parametrize("shape", [(), (2,), (3, 1)])
def test_what_float32_can_t_hold_is_not_finite(shape):
    assert not is_finite(torch.full(shape, 1e300, dtype=torch.float64))
    assert not is_finite(torch.full(shape, -1e300, dtype=torch.float64))


def test_whole_numbers_and_no_numbers_are_finite():
    assert is_finite(torch.tensor([2**62, 1])) and is_finite(torch.zeros(0, 4))


def test_a_tensor_may_have_as_many_dimensions_as_numpy_takes():
    check_values("m", "up", torch.ones((1,) * 32))
    with pytest.raises(KLoraError, match="layer m: up has 33 dimensions"):
        check_values("m", "up", torch.ones((1,) * 33))


@pytest.mark.parametrize(
    ("shape", "wanted", "words"),
    [
        ((8, 4), (8, 4), None),
        # An OFT does not know its inputs.
        ((8, 0), (8, 4), None),
        ((8, 0), (6, 4), "it is 8 high in the LoRA and 6 x 4 in the model"),
        ((8, 4), (8, 5), "it is 8 x 4 in the LoRA and 8 x 5 in the model"),
        ((8, 1), (8, 4), "it is 8 x 1 in the LoRA and 8 x 4 in the model"),
        ((8, 4), (4, 4), "it is 8 x 4 in the LoRA and 4 x 4 in the model"),
        ((8, 4), (8, 4, 3), None),
        ((8, 4), (), "it is 8 x 4 in the LoRA and smaller in the model"),
    ],
)
def test_a_change_and_the_layer_that_it_is_for(shape, wanted, words):
    assert misfit(shape, wanted) == words
    assert words is None or unlike(shape, wanted) == words


@pytest.mark.parametrize(
    ("misfits", "layers", "few"),
    [
        *((0, 1, True), (1, 1, False), (1, 2, True), (2, 3, False), (2, 4, True), (3, 29, False)),
        *((3, 30, True), (20, 200, True), (20, 199, False), (300, 300, False)),
    ],
)
def test_how_many_layers_of_another_size_may_be_a_variants(misfits, layers, few):
    assert few_misfits(misfits, layers) is few


def test_layers_of_names_that_nobody_knows():
    assert str(strange(["a", "b\x1b", "c", "d"])).startswith(
        "Choose another LoRA, or save it under the names of ComfyUI or diffusers: it names its layers in a "
        "way that is not known here: 'a', 'b\\\\x1b', 'c'."
    )


@pytest.mark.parametrize(
    ("what", "number", "words"),
    [
        (What.LAYER, 1, "1 layer"),
        (What.LAYER, 2, "2 layers"),
        (What.VECTOR, 0, "0 bias or norm tensors"),
        (What.MISSING, 1, "1 layer that this model does not have"),
        (What.MISSING, 3, "3 layers that this model does not have"),
    ],
)
def test_how_many_of_what(what, number, words):
    assert what.counted(number) == words
