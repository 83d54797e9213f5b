"""OFT, BOFT, GLoRA and DoRA against their definitions in float64: dW, scores, digest, and on layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from klora_core.apply import Buffers, HostRules, Target
from klora_core.apply.hooks import attach_all
from klora_core.deltas import LayerWeight, LowRank, Remapped, Row, digests
from klora_core.errors import KLoraError
from klora_core.files import bound, from_tensors, reading
from klora_core.merges import merge, named
from klora_core.names import Slot
from klora_core.pipelines import fit, layers_of
from klora_core.scores import Request, energy, score
from tests.support import kinds

LINEAR, CONV = "linear", "conv"
RULES = HostRules(frozenset({nn.Linear.forward, nn.Conv2d.forward}))
CASES = [
    (kind, layer) for kind in kinds.KINDS for layer in (LINEAR, CONV) if (kind, layer) != ("old GLoRA", CONV)
]


def layer_of(kind, n=8):
    torch.manual_seed(5)
    if kind == LINEAR:
        return nn.Linear(n, 16)
    return nn.Conv2d(6, 16, 3, stride=2, padding=1)


def base_of(module):
    weight = module.weight.detach().clone()
    return LayerWeight.of(lambda device: weight.to(device), torch.device("cpu"))


def made(kind, module, seed=1, **options):
    """(the delta of a random adapter of ``kind``, the dW that it must make)."""
    weight = module.weight.detach()
    tensors, new = kinds.KINDS[kind](weight, torch.Generator().manual_seed(seed))
    (found,) = reading.read_tensors({f"m.to_q{end}": tensor for end, tensor in tensors.items()}).modules
    assert found.change.needs_weight and set(found.keys) == {f"m.to_q{end}" for end in tensors}
    delta = bound(found.change, base_of(module), **options)
    return delta, new - weight.double().flatten(1)


@pytest.mark.parametrize(("kind", "layer"), CASES)
def test_the_delta_that_it_really_makes_is_scored(kind, layer):
    delta, expected = made(kind, layer_of(layer))
    assert delta.shape == tuple(expected.shape)
    torch.testing.assert_close(delta.dense().double(), expected, rtol=2e-5, atol=2e-6)
    for scaled, factor in ((delta, 1.0), (delta.scaled(-0.5), 0.5)):
        (found,) = score([Request(scaled, 9)])
        entries = expected.abs().flatten().sort(descending=True).values * factor
        assert found.top_k == pytest.approx(float(entries[:9].sum()), rel=1e-5)
        assert found.l1 == pytest.approx(float(entries.sum()), rel=1e-5)
        assert energy(scaled) == pytest.approx(float((entries**2).sum()), rel=1e-5)


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_nothing_of_the_weights_size_is_kept(kind):
    module = nn.Linear(96, 128)
    delta, _ = made(kind, module)
    held = Buffers((Target("0", None, (delta,)),), torch.float32)
    for tensors in (delta.tensors, list(held.parameters())):
        assert sum(t.numel() for t in tensors) < module.weight.numel() / 4


@pytest.mark.parametrize("of_base", [False, True])
def test_a_dora_of_rows_has_the_norms_of_the_papers_or_of_the_hosts(of_base):
    module = layer_of(LINEAR)
    weight = module.weight.detach()
    tensors, new = kinds.dora_rows(weight, torch.Generator().manual_seed(1), of_base)
    (found,) = reading.read_tensors({f"m.to_q{end}": tensor for end, tensor in tensors.items()}).modules
    delta = bound(found.change, base_of(module), norms_of_base=of_base)
    torch.testing.assert_close(delta.dense().double(), new - weight.double(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("kind", "layer"), CASES)
def test_a_layer_adds_it_while_it_is_shown(kind, layer, compiled):
    """Beside a plain LoRA that takes turns with it, at a strength, and off again."""
    module = layer_of(layer)
    delta, expected = made(kind, module)
    out, n = delta.shape
    plain = LowRank(torch.randn(out, 2), torch.randn(2, n), 0.5)
    buffers = Buffers((Target("0", None, (delta.scaled(0.7), plain)),), torch.float32)
    x = torch.randn(3, 8) if layer == LINEAR else torch.randn(2, 6, 9, 9)

    def call(change):
        weight = (module.weight.double().flatten(1) + change).view_as(module.weight)
        if layer == LINEAR:
            return nn.functional.linear(x.double(), weight, module.bias.double())
        return module.double()._conv_forward(x.double(), weight, module.bias.double())

    wanted = {0: call(0.7 * expected), 1: call(plain.dense().double()), -1: call(0)}
    module.float()
    gate = type("Gate", (), {"open": True})()
    with torch.inference_mode(), attach_all(nn.Sequential(module), buffers, gate, RULES, compiled):
        for who in (0, 1, 0, -1):
            buffers.show(0, who)
            torch.testing.assert_close(module(x).double(), wanted[who], rtol=1e-4, atol=1e-5)
        buffers.show(0, 0)
        gate.open = False
        torch.testing.assert_close(module(x).double(), wanted[-1], rtol=1e-4, atol=1e-5)
    assert "forward" not in module.__dict__ and not module._forward_hooks


@pytest.mark.slow
def test_it_is_compiled_once_for_all_switches():
    module = layer_of(LINEAR)
    delta, expected = made("DoRA of columns", module)
    plain = LowRank(torch.randn(16, 2), torch.randn(2, 8), 0.5)
    buffers, x = Buffers((Target("0", None, (delta, plain)),), torch.float32), torch.randn(3, 8)
    compiled, net = [], nn.Sequential(module)

    def backend(graph, example):
        compiled.append(graph)
        return graph

    gate = type("Gate", (), {"open": True})()
    changes = {0: expected, 1: plain.dense().double(), -1: 0}
    with torch.no_grad(), attach_all(net, buffers, gate, RULES, compiled=True):
        run = torch.compile(net, backend=backend)
        for who in (0, 1, -1, 0):
            buffers.show(0, who)
            weight = module.weight.double() + changes[who]
            wanted = nn.functional.linear(x.double(), weight, module.bias.double())
            torch.testing.assert_close(run(x).double(), wanted, rtol=1e-4, atol=1e-5)
    assert len(compiled) == 1


@pytest.mark.parametrize(("first", "second"), [("OFT", "DoRA of columns"), ("DoRA of columns", "OFT")])
def test_each_is_a_change_of_the_layers_own_weight_whoever_else_is_there(first, second):
    """Two of them and a plain LoRA on one layer: their sum, not one of what the other made."""
    module = layer_of(LINEAR)
    (one, d1), (two, d2) = made(first, module), made(second, module, seed=2)
    plain = LowRank(torch.randn(16, 2), torch.randn(2, 8), 0.5)
    targets = tuple(Target("0", None, (delta,)) for delta in (plain, one, two))
    buffers, x = Buffers(targets, torch.float32), torch.randn(3, 8)
    for i in range(3):
        buffers.show(i, 0)
    weight = module.weight.double() + d1 + d2 + plain.dense().double()
    gate = type("Gate", (), {"open": True})()
    with torch.inference_mode(), attach_all(nn.Sequential(module), buffers, gate, RULES):
        found = module(x).double()
    torch.testing.assert_close(
        found, nn.functional.linear(x.double(), weight, module.bias.double()), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["DoRA of rows", "DoRA of columns", "OFT"])
def test_rows_of_a_fused_layer_are_those_rows_of_the_change(kind):
    module = layer_of(LINEAR)
    delta, expected = made(kind, module)
    part, rows = delta.rows(4, 8), Target("0", (4, 8), (delta.rows(4, 8),))
    torch.testing.assert_close(part.dense().double(), expected[4:12], rtol=2e-5, atol=2e-6)
    buffers, x = Buffers((rows,), torch.float32), torch.randn(3, 8)
    buffers.show(0, 0)
    weight = module.weight.detach().double().clone()
    weight[4:12] += expected[4:12]
    gate = type("Gate", (), {"open": True})()
    with torch.inference_mode(), attach_all(nn.Sequential(module), buffers, gate, RULES):
        found = module(x).double()
    torch.testing.assert_close(
        found, nn.functional.linear(x.double(), weight, module.bias.double()), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["DoRA of columns", "OFT", "GLoRA"])
def test_a_merge_takes_the_change_that_it_makes_here(kind):
    """At full strength, as an ordinary LoRA: of this checkpoint alone."""
    delta, expected = made(kind, layer_of(LINEAR))
    plain = LowRank(torch.randn(16, 2), torch.randn(2, 8), 0.5)
    merged = merge([Row(Slot("m.to_q"), (delta, plain))], named("linear"), [0.5, 2.0])
    (found,) = merged.deltas.values()
    torch.testing.assert_close(
        found.dense().double(), 0.5 * expected + 2 * plain.dense().double(), rtol=1e-4, atol=1e-4
    )


def test_a_model_apart_from_the_host_gives_its_own_weights():
    """q, k and v apart, where the slots are rows of one weight; and rows that swap halves."""
    width = 8
    model = nn.Module()
    shapes = {
        "pos_embed.proj": (width, width),
        "time_text_embed.timestep_embedder.linear_1": (width, width),
        "transformer_blocks.0.norm1.linear": (6 * width, width),
        **{f"transformer_blocks.0.attn.to_{x}": (width, width) for x in "qkv"},
        **{f"transformer_blocks.0.attn.add_{x}_proj": (width, width) for x in "qkv"},
        "norm_out.linear": (2 * width, width),
    }
    for name, (out, n) in shapes.items():
        at = model
        for part in name.split(".")[:-1]:
            if not hasattr(at, part):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        at.add_module(name.rpartition(".")[2], nn.Linear(n, out))
    g, tensors, wanted = torch.Generator().manual_seed(2), {}, {}
    names = {"transformer_blocks.0.attn.to_k": kinds.oft, "norm_out.linear": kinds.peft_dora}
    for name, make in names.items():
        weight = model.get_submodule(name).weight.detach()
        own, new = make(weight, g)
        tensors |= {f"transformer.{name}{end}": tensor for end, tensor in own.items()}
        wanted[name] = new - weight.double()
    there = layers_of(model)
    file = fit(from_tensors("a", tensors, for_model=True), there, model)
    assert not file.left and file.applied == set(tensors)
    key, final = sorted(file.slots, key=lambda slot: "final" in slot.weight)
    assert key == Slot("joint_blocks.0.x_block.attn.qkv", (width, width))
    torch.testing.assert_close(
        file.slots[key].dense().double(), wanted["transformer_blocks.0.attn.to_k"], rtol=2e-5, atol=2e-6
    )
    # The canonical weight has shift and scale in each other's place.
    swapped = wanted["norm_out.linear"].roll(width, 0)
    torch.testing.assert_close(file.slots[final].dense().double(), swapped, rtol=2e-5, atol=2e-6)
    with pytest.raises(KLoraError, match="to_k is OFT or BOFT, which depends on the checkpoint"):
        from_tensors("a", {k: t for k, t in tensors.items() if "to_k" in k})


def test_rows_that_a_rotation_mixes_with_others_are_refused():
    delta, _ = made("OFT", layer_of(LINEAR))
    with pytest.raises(KLoraError, match="rows 2 to 10 of a fused layer together with others"):
        delta.rows(2, 8)


def test_rows_in_another_order():
    module, order = layer_of(LINEAR), torch.arange(16).roll(8)
    weight = module.weight.detach()
    tensors, new = kinds.dora_rows(weight[order.argsort()], torch.Generator().manual_seed(1))
    (found,) = reading.read_tensors({f"m.to_q{end}": tensor for end, tensor in tensors.items()}).modules
    delta = bound(found.change, base_of(module), order=order)
    torch.testing.assert_close(delta.dense().double(), new[order] - weight.double(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", ["DoRA of rows", "OFT", "BOFT", "GLoRA"])
def test_another_checkpoint_has_another_digest(kind):
    """Else the score of one checkpoint would be taken for that of another."""
    module = layer_of(LINEAR)
    same = [made(kind, module)[0] for _ in range(2)]
    with torch.no_grad():
        module.weight[3, 3] += 0.01
    other = made(kind, module)[0]
    first, again, changed = digests([*same, other])
    assert first == again and first != changed
    if isinstance(other, Remapped):
        assert digests([replace(same[0], base=other.base)]) != [first]
        assert digests([same[0].scaled(2.0)]) != [first]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({".oft_blocks": torch.ones(2, 4, 3)}, "do not fit together"),
        ({".oft_blocks": torch.ones(2, 3, 3, 3)}, "do not fit together"),
        ({".oft_blocks": torch.ones(3, 2, 4, 4)}, "do not fit together"),
        ({".oft_blocks": torch.ones(2, 4, 4), ".rescale": torch.ones(3)}, "do not fit together"),
        ({".rescale": torch.ones(8)}, "has oft_rescale but no oft_blocks"),
        ({".a1.weight": torch.ones(4, 2), ".a2.weight": torch.ones(2, 4)}, "no glora_b1 and no glora_b2"),
        ({".oft_blocks": torch.ones(2, 4, 4), ".dora_scale": torch.ones(8, 1)}, "has oft and dora_scale"),
    ],
)
def test_what_does_not_fit_together_is_refused(tensors, message):
    with pytest.raises(KLoraError, match=f"m.to_q.*{message}"):
        reading.read_tensors({f"m.to_q{end}": tensor for end, tensor in tensors.items()})


def test_a_magnitude_of_another_size_than_the_layer_is_refused():
    factors = {".lora_up.weight": torch.ones(16, 2), ".lora_down.weight": torch.ones(2, 8)}
    tensors = {**factors, ".dora_scale": torch.ones(7, 1)}
    (found,) = reading.read_tensors({f"m.to_q{end}": tensor for end, tensor in tensors.items()}).modules
    with pytest.raises(KLoraError, match="m.to_q: its DoRA has 7 magnitudes for 16 rows and 8 inputs"):
        bound(found.change, base_of(layer_of(LINEAR)))
