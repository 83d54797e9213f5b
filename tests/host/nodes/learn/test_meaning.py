"""Texts as vectors by encoders of the host's own classes, made small, that have none of a whole text."""

from __future__ import annotations

import pytest
from comfy.text_encoders import genmo, z_image

from tests.support.host.nodes import part
from tests.support.host.nodes_for_tests import z_image as tiny
from tests.support.host.nodes_for_tests.text import small_clip

T5 = {"num_layers": 2, "d_model": 64, "d_ff": 96, "d_kv": 32, "num_heads": 2}
ENCODERS = {
    "Qwen 3, a template around the text": lambda: small_clip(
        z_image.ZImageTokenizer, z_image.te(), tiny.SMALL
    ),
    "T5, filled up to 256 tokens": lambda: small_clip(
        genmo.MochiT5Tokenizer, genmo.mochi_te(), {"t5xxl_model_config": T5}
    ),
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_mean_over_the_tokens_of_a_text(pack, encoder):
    clip = ENCODERS[encoder]()
    library, meaning = (part(pack, f"nodes.learn.{name}") for name in ("library", "meaning"))
    library.VECTORS.forget()
    texts = {"one": ("an orange cat",), "two": ("a cat", "a house in winter, oil on canvas"), "none": ()}
    found = meaning.to_prompt(clip, "an orange cat", texts)
    assert found.keys() == {"one", "two"} and found["one"] == pytest.approx(1, abs=2e-3)

    def direction(text):
        out = clip.encode_from_tokens(clip.tokenize(text), return_dict=True)
        tokens, mask = out["cond"][0].double(), out.get("attention_mask")
        if mask is not None:
            tokens = tokens[mask.flatten().bool()]
        whole = tokens[tokens.abs().sum(dim=1) > 0].mean(dim=0)
        return whole / whole.norm()

    mean = sum(map(direction, texts["two"]))
    told = float(mean / mean.norm() @ direction("an orange cat"))
    assert found["two"] == pytest.approx(told, abs=2e-3)


def test_an_encoder_that_gives_nothing_to_compare_is_refused(pack):
    meaning = part(pack, "nodes.learn.meaning")
    nothing = small_clip(z_image.ZImageTokenizer, z_image.te(), tiny.SMALL)
    for weight in nothing.cond_stage_model.parameters():
        weight.data.zero_()
    with pytest.raises(ValueError, match="Leave clip unconnected: this text encoder"):
        meaning.to_prompt(nothing, "a cat", {"one": ("a cat",)})
