"""The names of a LoRA file's tensors: which module a tensor belongs to, and which part of it it is."""

from __future__ import annotations

import re

from .. import names

BIAS, LORA_BIAS, WHOLE, ALPHA, GATE = "bias", "lora_bias", "whole", "alpha", "gate"
# The weights of an AdaLoRA's ranks, and how many of them its alpha is divided by.
SINGULAR, RANKS = "lora_E", "ranknum"
# Where a layer's rows start in a change that newer hosts keep whole.
ROWS = "row_offset"
# The magnitudes of a DoRA, as LyCORIS and as PEFT mean them.
DORA, MAGNITUDE = "dora_scale", "magnitude"


class Refused(str):
    """In the place of a part's name: what a change is called that is of a kind which can't be used."""


_SUFFIXES = {
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora.up.weight": "up",
    ".lora.down.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".alpha": ALPHA,
    ".diff": "diff",
    ".w_norm": "diff",
    # A trained ZipLoRA: the merged change of a layer as it is.
    ".lora.weight": "diff",
    ".diff_b": BIAS,
    ".b_norm": BIAS,
    ".lora_up.bias": LORA_BIAS,
    **{f".hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    **{f".{name}.weight": f"glora_{name}" for name in ("a1", "a2", "b1", "b2")},
    ".oft_blocks": "oft_blocks",
    ".rescale": "oft_rescale",
    ".dora_scale": DORA,
    ".row_offset": ROWS,
}
# The kinds that nothing here can carry, by the tensors that only they have. PEFT's rotations turn the layer's
# input, and their files do not say by which of several formulas.
_KINDS = {
    "PEFT's OFT or BOFT": r"oft_diag|b?oft_[Rs](?:\.[\w-]+){0,2}",
    "a LoRA that changes the layer's size": r"reshape_weight",
}
_KIND = tuple((kind, re.compile(rf"(.+)\.(?:{tensors})")) for kind, tensors in _KINDS.items())
# PEFT puts the adapter's name between, or behind bare parameters (AdaLoRA); XLabs numbers the two streams of
# a FLUX block.
_PEFT = re.compile(r"(.+)\.lora_([AB])(?:(?:\.(?!bias\b)[\w-]+)?\.weight|\.default)?")
_PEFT_BIAS = re.compile(r"(.+)\.lora_B(?:\.[\w-]+)?\.bias")
_PEFT_DORA = re.compile(r"(.+)\.lora_magnitude_vector(?:\.[\w-]+){0,2}")
_BEAM = re.compile(r"(.+)\.lora_gate(?:\.[\w-]+)?")
_ADA = re.compile(r"(.+)\.(lora_E|ranknum)(?:\.[\w-]+)?")
_XLABS = re.compile(r"(.+\.(?:qkv|proj)_lora[12])\.(up|down)\.weight")
# The first format tells a layer by its network and a number.
_NUMBERED = re.compile(r"(\w+:\d+):(up|down|alpha)")
# A LoRA whose ranks are chosen for each token, with its slots by their names in ComfyUI's model.
RANKS_HEAD = "klora_ranks."
_RANKS = re.compile(rf"{re.escape(RANKS_HEAD)}(?:diffusion_model\.)?(.+)\.(up|down|router|bias|k|alpha)")
# Names that were converted by hand have other separators than those of any trainer.
_BY_HAND = re.compile(
    r"(.+?)[._](?:lora[._](?:linear[._]layer[._])?(?P<lora>up|down|mid|A|B)(?:[._]default)?(?:[._]weight)?"
    r"|(?P<other>(?:hada|lokr)[._]\w+|dora[._]scale)|(?:lora[._])?(?P<alpha>alpha))"
)
_BY_HAND_PARTS = {"A": "down", "B": "up"}
# A change is never stored under these: they hold the new value itself.
_WHOLE = re.compile(r"(.+)\.(?:set_weight|bias)")


def split(key: str) -> tuple[str, str] | None:
    """(module, part) of a tensor's name, None where it is no adapter's or holds invisible characters.

    ``part`` is one that :func:`adapters.change_of` knows, ``gate`` or ``lora_E`` for the weights of a LoRA's
    ranks, ``ranknum`` for their number, ``row_offset`` for the first row that is meant, ``bias`` for an
    addition to the layer's bias, ``lora_bias`` for the same at the scale of the LoRA, ``whole`` for a value
    that replaces instead of adding, ``dora_scale`` or ``magnitude`` for a DoRA's, or a :class:`Refused` for
    changes of a kind that can't be used.
    """
    if not key.isprintable():
        return None
    if match := _RANKS.fullmatch(key):
        return f"diffusion_model.{match[1]}", match[2] if match[2] == ALPHA else f"ranks_{match[2]}"
    if match := _PEFT.fullmatch(key):
        return match[1], "up" if match[2] == "B" else "down"
    if match := _PEFT_BIAS.fullmatch(key):
        return match[1], LORA_BIAS
    if match := _PEFT_DORA.fullmatch(key):
        return match[1], MAGNITUDE
    if match := _BEAM.fullmatch(key):
        return match[1], GATE
    if match := _ADA.fullmatch(key):
        return match[1], match[2]
    if match := _XLABS.fullmatch(key):
        return match[1], match[2]
    if match := _NUMBERED.fullmatch(key):
        return match[1], match[2]
    for suffix, part in _SUFFIXES.items():
        if key.endswith(suffix) and len(key) > len(suffix):
            return key.removesuffix(suffix), part
    for kind, pattern in _KIND:
        if match := pattern.fullmatch(key):
            return match[1], Refused(kind)
    if (match := _WHOLE.fullmatch(key)) and not match[1].endswith((".lora_A", ".lora_down")):
        return match[1], WHOLE
    return _by_hand(key)


def _by_hand(key: str) -> tuple[str, str] | None:
    match = _BY_HAND.fullmatch(key)
    if match is None:
        return None
    if match["other"]:
        part = _SUFFIXES.get("." + match["other"].replace(".", "_"))
        return None if part is None else (match[1], part)
    return match[1], ALPHA if match["alpha"] else _BY_HAND_PARTS.get(match["lora"], match["lora"])


def is_text(module: str) -> bool:
    """Whether a module, told by its name or its number, belongs to a text encoder."""
    return names.is_text_encoder(module.replace(":", "."))


def is_adapter(part: str) -> bool:
    """Whether a part by itself shows that a file is a LoRA; checkpoints have biases, and some have alphas."""
    return part not in (BIAS, WHOLE, ALPHA, RANKS, ROWS)
