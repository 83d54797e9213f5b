"""LoRA files as they are found, and as they should never be: made by the thousand from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
TEXT = ("lora_te_text_model_encoder_layers_0_mlp_fc1", "text_encoder.text_model.encoder.layers.1.mlp.fc2")


@dataclass(frozen=True)
class Layer:
    """A layer of the model: its name and diffusers' name of it, and its weight's shape."""

    name: str
    diffusers: str
    shape: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.shape[0], int(torch.tensor(self.shape[1:]).prod())


@dataclass
class File:
    """A file's tensors; ``truth`` has dW of the layers whose tensors nobody has tampered with."""

    tensors: Tensors = field(default_factory=dict)
    truth: dict[str, Tensor] = field(default_factory=dict)
    modules: list[tuple[str, Layer]] = field(default_factory=list)


SPELLINGS: tuple[Callable[[Layer], str], ...] = (
    lambda layer: f"diffusion_model.{layer.name}",
    lambda layer: "lora_unet_" + layer.name.replace(".", "_"),
    lambda layer: "lora_unet_" + layer.diffusers.replace(".", "_"),
    lambda layer: "lycoris_" + layer.diffusers.replace(".", "_"),
    lambda layer: f"unet.{layer.diffusers}",
    lambda layer: f"base_model.model.{layer.diffusers}",
    lambda layer: f"unet.base_model.model.{layer.diffusers}",
    lambda layer: layer.name,
)
UP_DOWN = (
    (".lora_up.weight", ".lora_down.weight"),
    (".lora_B.weight", ".lora_A.weight"),
    (".lora_B.default.weight", ".lora_A.default.weight"),
    (".lora.up.weight", ".lora.down.weight"),
    ("_lora.up.weight", "_lora.down.weight"),
    (".lora_B", ".lora_A"),
)


def _lora(rng: random.Random, raw: str, layer: Layer) -> tuple[Tensors, Tensor]:
    (out, n), rank = layer.size, rng.randint(1, 4)
    up, down = torch.randn(out, rank), torch.randn(rank, n)
    ends = rng.choice(UP_DOWN)
    kernel = layer.shape[2:]
    shaped = (up.reshape(out, rank, *(1 for _ in kernel)), down.reshape(rank, *layer.shape[1:]))
    tensors = {raw + end: tensor for end, tensor in zip(ends, shaped, strict=True)}
    scale = 1.0
    if rng.random() < 0.5:
        tensors[f"{raw}.alpha"] = torch.tensor(3.0)
        scale = 3.0 / rank
    return tensors, up @ down * scale


def _diff(rng: random.Random, raw: str, layer: Layer) -> tuple[Tensors, Tensor]:
    weight = torch.randn(layer.shape)
    return {f"{raw}.diff": weight}, weight.flatten(1)


def _loha(rng: random.Random, raw: str, layer: Layer) -> tuple[Tensors, Tensor]:
    (out, n), rank = layer.size, rng.randint(1, 3)
    a1, b1, a2, b2 = (
        torch.randn(out, rank),
        torch.randn(rank, n),
        torch.randn(out, rank),
        torch.randn(rank, n),
    )
    names = ("w1_a", "w1_b", "w2_a", "w2_b")
    tensors = {f"{raw}.hada_{name}": t for name, t in zip(names, (a1, b1, a2, b2), strict=True)}
    return {**tensors, f"{raw}.alpha": torch.tensor(1.0)}, (a1 @ b1) * (a2 @ b2) / rank


def _lokr(rng: random.Random, raw: str, layer: Layer) -> tuple[Tensors, Tensor]:
    out, n = layer.size
    w1 = torch.randn(2, 2)
    a, b = torch.randn(out // 2, 2), torch.randn(2, n // 2)
    if rng.random() < 0.5:
        return {f"{raw}.lokr_w1": w1, f"{raw}.lokr_w2": a @ b}, torch.kron(w1, a @ b)
    tensors = {f"{raw}.lokr_w1": w1, f"{raw}.lokr_w2_a": a, f"{raw}.lokr_w2_b": b}
    return {**tensors, f"{raw}.alpha": torch.tensor(4.0)}, torch.kron(w1, a @ b) * 2


def _rank_one(raw: str, out: int, n: int) -> Tensors:
    return {f"{raw}.lora_up.weight": torch.randn(out, 1), f"{raw}.lora_down.weight": torch.randn(1, n)}


KINDS = (_lora, _lora, _lora, _diff, _loha, _lokr)


def a_file(rng: random.Random, layers: list[Layer]) -> File:
    """A good LoRA of a few layers, each in its own spelling and kind, with biases and a text encoder."""
    file = File()
    for layer in rng.sample(layers, rng.randint(1, 4)):
        raw = rng.choice(SPELLINGS)(layer)
        kind = rng.choice([k for k in KINDS if k is not _lokr or layer.size[1] % 2 == 0 == layer.size[0] % 2])
        tensors, truth = kind(rng, raw, layer)
        file.tensors |= tensors
        file.truth[layer.name] = truth
        file.modules.append((raw, layer))
        if rng.random() < 0.2:
            file.tensors[f"{raw}.diff_b"] = torch.randn(rng.choice((layer.shape[0], 3)))
    if rng.random() < 0.3:
        raw = rng.choice(TEXT)
        file.tensors |= {
            f"{raw}.lora_up.weight": torch.randn(8, 1),
            f"{raw}.lora_down.weight": torch.randn(1, 8),
        }
    return file


def tamper(rng: random.Random, file: File, layers: list[Layer]) -> None:
    """One thing that goes wrong, in place; ``truth`` keeps only what it leaves alone."""
    raw, layer = rng.choice(file.modules)
    own = [key for key in file.tensors if key.startswith(raw)]
    if not own:
        return
    key = rng.choice(own)
    file.truth.pop(layer.name, None)
    rng.choice(TAMPERINGS)(rng, file, raw, layer, key, layers)


def _drop(rng, file, raw, layer, key, layers):
    del file.tensors[key]


def _hidden_character(rng, file, raw, layer, key, layers):
    hidden = rng.choice(("\u200b", "\x00", "\x1b[31m", "\x07", " ", "\u202e", "\n", "\ufeff"))
    at = rng.choice((len(key), len(raw), rng.randint(0, len(key))))
    file.tensors[key[:at] + hidden + key[at:]] = file.tensors.pop(key)


def _another_tensor(rng, file, raw, layer, key, layers):
    ends = (
        *(".diff", ".lora_up.weight", ".lora_A.weight", ".lora_mid.weight", ".hada_w1_a", ".hada_t1"),
        *(".lokr_w1", ".lokr_w2_b", ".lokr_t2", ".alpha", ".diff_b", ".w_norm", ".b_norm", ".lora_B.bias"),
        *(".lora_A.bias", ".dora_scale", ".lora_magnitude_vector", ".lora_magnitude_vector.default.weight"),
        *(
            ".oft_R.weight",
            ".oft_blocks",
            ".rescale",
            ".a1.weight",
            ".reshape_weight",
            ".set_weight",
            ".bias",
        ),
        *(".weight", ".vera_lambda_b", ".lora_embedding_A", ".unheard_of", ""),
    )
    shape = rng.choice(((), (1,), (layer.shape[0],), layer.size, (layer.shape[0], 2), (2, layer.size[1])))
    file.tensors[raw + rng.choice(ends)] = torch.randn(shape)


def _another_shape(rng, file, raw, layer, key, layers):
    shapes = ((), (0,), (2,), (3, 3), (2, 3, 3), (1, 1, 1, 1, 1), (layer.shape[0],), (0, 5))
    shape = rng.choice((*shapes, tuple(file.tensors[key].shape)[::-1]))
    file.tensors[key] = torch.randn(shape)


def _another_type(rng, file, raw, layer, key, layers):
    types = (
        *(torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2, torch.int8),
        *(torch.int64, torch.uint16, torch.uint32, torch.bool, torch.complex64, torch.uint8),
    )
    dtype = rng.choice(types)
    tensor = file.tensors[key]
    file.tensors[key] = tensor.to(dtype) if dtype.is_floating_point else torch.ones(tensor.shape).to(dtype)


def _not_finite(rng, file, raw, layer, key, layers):
    tensor = file.tensors[key].clone()
    if tensor.numel() and tensor.is_floating_point():
        tensor.view(-1)[rng.randrange(tensor.numel())] = rng.choice(
            (float("nan"), float("inf"), -float("inf"))
        )
    file.tensors[key] = tensor


def _odd_alpha(rng, file, raw, layer, key, layers):
    values = (torch.zeros(0), torch.ones(2), torch.tensor(1j), torch.tensor(True), torch.tensor(7))
    file.tensors[f"{raw}.alpha"] = rng.choice((*values, torch.tensor([[2.0]]), torch.tensor(float("nan"))))


def _second_spelling(rng, file, raw, layer, key, layers):
    tensors, _ = _lora(rng, rng.choice(SPELLINGS)(layer), layer)
    file.tensors |= tensors


def _bomb(rng, file, raw, layer, key, layers):
    """Little in the file, gigabytes multiplied out."""
    for name in [k for k in file.tensors if k.startswith(raw)]:
        del file.tensors[name]
    file.tensors |= rng.choice(
        (
            {f"{raw}.lokr_w1": torch.randn(200, 200), f"{raw}.lokr_w2": torch.randn(200, 200)},
            {
                f"{raw}.lora_up.weight": torch.randn(40000, 1),
                f"{raw}.lora_down.weight": torch.randn(1, 40000),
            },
            {
                f"{raw}.lora_up.weight": torch.randn(2, 1),
                f"{raw}.lora_mid.weight": torch.randn(1, 1, 200, 200),
                f"{raw}.lora_down.weight": torch.randn(1, 40000),
            },
            {
                f"{raw}.hada_{name}": torch.randn(20000, 4) if name[-1] == "a" else torch.randn(4, 20000)
                for name in ("w1_a", "w1_b", "w2_a", "w2_b")
            },
        )
    )


def _of_another_model(rng, file, raw, layer, key, layers):
    for name in [k for k in file.tensors if k.startswith(raw)]:
        del file.tensors[name]
    width = rng.choice((4, 64, 640))
    file.tensors |= {
        f"{raw}.lora_up.weight": torch.randn(width, 1),
        f"{raw}.lora_down.weight": torch.randn(1, width),
    }


def _stranger(rng, file, raw, layer, key, layers):
    odd = rng.choice(
        ("", ".", "..", "a" * 5000, "\u0430.lora_up.weight", "{}", "%s", "lora_unet_", ".alpha", "x/y\\z")
    )
    file.tensors[odd] = torch.randn(2, 2)
    if rng.random() < 0.5:
        layer = Layer("nobody.knows.to_q", "nobody.knows.to_q", (8, 8))
        file.tensors |= _lora(rng, rng.choice(SPELLINGS)(layer), layer)[0]


TAMPERINGS = (
    *(_drop, _hidden_character, _another_tensor, _another_tensor, _another_shape, _another_type, _not_finite),
    *(_odd_alpha, _second_spelling, _bomb, _of_another_model, _stranger),
)
