"""Every tensor of a file is part of a slot, or named with a reason; or the file is refused in one line."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from klora_core import files
from klora_core.errors import KLoraError

pytestmark = pytest.mark.slow

MODULES = (
    "input_blocks.1.1.transformer_blocks.0.attn1.to_q",
    "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q",
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k",
    "transformer.transformer_blocks.0.attn.to_v",
    "transformer.single_transformer_blocks.0.proj_mlp",
    "middle_block.1.norm",
    "lora_te_text_model_encoder_layers_0_mlp_fc1",
    "text_encoder.text_model.encoder.layers.1.mlp.fc1",
    "nobody.knows.this",
)
RANK, SIZE = 2, 4
FITTING = {
    ".lora_up.weight": (SIZE, RANK),
    ".lora_down.weight": (RANK, SIZE),
    ".lora_B.weight": (SIZE, RANK),
    ".lora_A.weight": (RANK, SIZE),
    ".lora_mid.weight": (RANK, RANK, 3),
    ".alpha": (),
    ".diff": (SIZE, SIZE),
    ".diff_b": (SIZE,),
    ".w_norm": (SIZE,),
    ".b_norm": (SIZE,),
    ".lora_B.bias": (SIZE,),
    ".hada_w1_a": (SIZE, RANK),
    ".hada_w1_b": (RANK, SIZE),
    ".hada_w2_a": (SIZE, RANK),
    ".hada_w2_b": (RANK, SIZE),
    ".hada_t1": (RANK, RANK, 3),
    ".lokr_w1": (2, 2),
    ".lokr_w1_a": (2, RANK),
    ".lokr_w1_b": (RANK, 2),
    ".lokr_w2": (2, 2),
    ".lokr_w2_a": (2, RANK),
    ".lokr_w2_b": (RANK, 2),
    ".lokr_t2": (RANK, RANK, 3),
    ".dora_scale": (SIZE, 1),
    ".lora_magnitude_vector": (SIZE,),
    ".oft_R.weight": (2, 2),
    ".reshape_weight": (2,),
    ".set_weight": (SIZE,),
    ".bias": (SIZE,),
    ".weight": (SIZE, SIZE),
    ".lora_embedding_A": (RANK, SIZE),
    ".lora_up.weight\u200b": (SIZE, RANK),
    ".lora_down.weight\n": (RANK, SIZE),
}
TOGETHER = (
    (".lora_up.weight", ".lora_down.weight"),
    (".lora_B.weight", ".lora_A.weight", ".lora_B.bias"),
    (".lora_up.weight", ".lora_down.weight", ".alpha"),
    (".hada_w1_a", ".hada_w1_b", ".hada_w2_a", ".hada_w2_b", ".alpha"),
    (".lokr_w1", ".lokr_w2"),
    (".lokr_w1", ".lokr_w2_a", ".lokr_w2_b", ".alpha"),
    (".diff", ".diff_b"),
    (".w_norm", ".b_norm"),
    (".diff_b",),
)
DTYPES = (
    *(torch.float32, torch.float16, torch.bfloat16) * 4,
    torch.float8_e4m3fn,
    torch.int8,
    torch.complex64,
)
VALUES = (*(0.5,) * 80, float("nan"), float("inf"))


@st.composite
def tensor(draw, shape):
    if draw(st.integers(0, 80)) == 0:
        shape = draw(st.lists(st.integers(0, 3), max_size=4))
    made = torch.full(tuple(shape), draw(st.sampled_from(VALUES)))
    return made.to(draw(st.sampled_from(DTYPES)) if draw(st.integers(0, 9)) == 0 else torch.float32)


@st.composite
def a_file(draw):
    """Mostly whole modules, a few tensors too many, too few or of a wrong shape."""
    tensors = {}
    for module in draw(st.lists(st.sampled_from(MODULES), max_size=5, unique=True)):
        parts = set(draw(st.sampled_from(TOGETHER)))
        for part in sorted(parts):
            if draw(st.integers(0, 60)):
                tensors[module + part] = draw(tensor(FITTING[part]))
        if draw(st.integers(0, 7)) == 0:
            part = draw(st.sampled_from(sorted(FITTING)))
            tensors[module + part] = draw(tensor(FITTING[part]))
    for key in draw(st.lists(st.text(max_size=8), max_size=2)):
        tensors[key] = draw(tensor((2,)))
    return tensors


def outcome(tensors):
    """``refused``, or ``read`` with every tensor applied or left, never both."""
    try:
        found = files.from_tensors("a.safetensors", tensors)
    except KLoraError as error:
        assert str(error).isprintable() and len(str(error)) > 20
        return "refused"
    left = [key for item in found.left for key in item.keys]
    assert len(left) == len(set(left))
    assert found.applied | set(left) == set(tensors)
    assert not found.applied & set(left)
    assert found.applied and found.slots
    assert all(item.reason and item.name.isprintable() for item in found.left)
    return "read"


def test_every_tensor_is_accounted_for():
    outcomes = Counter()

    # The same files in every run, so that a change of the code alone can change the outcome.
    @settings(max_examples=800, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(a_file())
    def check(tensors):
        outcomes[outcome(tensors)] += 1

    check()
    assert min(outcomes["read"], outcomes["refused"]) > 150, outcomes
