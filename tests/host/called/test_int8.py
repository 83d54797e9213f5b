"""Checkpoints in INT8, whose feed-forwards the host computes past the layer: the LoRAs work there too."""

from __future__ import annotations

import comfy.ops
import pytest
import torch
from comfy.quant_ops import QuantizedTensor
from torch import nn

from tests.support.families.int8 import FORMAT, LAYOUT, int8_layers, pair_of
from tests.support.families.kinds import of_kind
from tests.support.families.nets import sample
from tests.support.families.reference import reference
from tests.support.host.nodes import fuse, part, relative
from tests.support.host.reference import random_lora

DOWN = {"wan": "ffn.2", "ltxv": "ff.net.2", "minimax_h3": "mlp.fc2"}
RANKS = 4, 3


@pytest.mark.parametrize("convrot", (False, True), ids=("plain", "rotated"))
@pytest.mark.parametrize("family", DOWN)
def test_latents_are_those_of_dense_weights(pack, caplog, family, convrot):
    model, exact = pair_of(family, convrot)
    # MiniMax H3's refiner runs before the sampling.
    names = [n for n in int8_layers(model) if n.endswith(DOWN[family]) and "refiner" not in n]
    assert names
    pair = [random_lora(exact.model, names, rank, seed) for seed, rank in enumerate(RANKS)]
    plain, base = sample(model, family), sample(exact, family)
    expected = sample(reference(exact.model, *pair, RANKS).patch(exact), family)
    found = sample(fuse(pack, model, *pair).model, family)
    # INT8 rounds each layer's input: the same numbers in float32 move the picture of the base by as much.
    own = relative(plain, base)
    assert relative(base, expected) > 20 * own, "the LoRAs show"
    assert relative(found, expected) < 4 * own
    assert torch.equal(sample(model, family), plain), "nothing is left behind"
    assert "did not run" not in caplog.text


@pytest.mark.parametrize("kind", ("DoRA", "OFT", "LoKr"))
def test_kinds_that_are_worked_out_with_the_layers_weight_or_output(pack, kind):
    model, exact = pair_of("wan", convrot=True)
    names = [name for name in int8_layers(model) if name.endswith(DOWN["wan"])]
    pair = of_kind(kind, exact.model, names, 1), random_lora(exact.model, names, RANKS[1], 2, 0.1)
    # In float32 held against dense weights by tests/families/test_kinds.py.
    expected = sample(fuse(pack, exact, *pair).model, "wan")
    own = relative(sample(model, "wan"), sample(exact, "wan"))
    assert relative(sample(exact, "wan"), expected) > 20 * own, "the LoRAs show"
    assert relative(sample(fuse(pack, model, *pair).model, "wan"), expected) < 4 * own


class Gate:
    open = True


class Hidden(nn.Module):
    """A feed-forward as the host's networks have it."""

    def __init__(self, act: str, convrot: bool = False, width: int = 256, out: int = 64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        with torch.inference_mode(False):
            self.down = comfy.ops.mixed_precision_ops({}, torch.float32).Linear(width, out, device="cpu")
            weight = torch.randn(out, width, generator=generator) / width**0.5
            held = QuantizedTensor.from_float(weight, LAYOUT, per_channel=True, convrot=convrot)
            self.down.weight = nn.Parameter(held, requires_grad=False)
            self.down.bias = nn.Parameter(torch.randn(out, generator=generator), requires_grad=False)
        self.down.quant_format, self.down.layout_type, self.act = FORMAT, LAYOUT, act

    def forward(self, x):
        return comfy.ops.linear_input_act(self.down, x, self.act)


def change(pack, seed=1, rank=3, width=256, out=64):
    generator = torch.Generator().manual_seed(seed)
    up, down = (torch.randn(shape, generator=generator) for shape in ((out, rank), (rank, width)))
    return part(pack, "klora_core.deltas").LowRank(up * 0.1, down * 0.1)


def put_on(pack, net, gate, delta, compiled=False):
    apply = part(pack, "klora_core.apply")
    buffers = apply.Buffers((apply.Target("down", None, (delta,)),), torch.float32)
    buffers.show(0, 0)
    return apply.attach_all(net, buffers, gate, part(pack, "nodes.host").RULES, compiled)


def inputs(act):
    return torch.randn(2, 5, 256 * (2 if act == "swiglu" else 1), generator=torch.Generator().manual_seed(2))


def beside(x, act, delta):
    return comfy.ops.INPUT_ACT_EAGER[act](x).double() @ (delta.up.double() @ delta.down.double()).T


@pytest.mark.parametrize("compiled", (False, True))
@pytest.mark.parametrize("convrot", (False, True))
@pytest.mark.parametrize("act", ("gelu_tanh", "swiglu"))
def test_the_change_stands_beside_the_hosts_own_product(pack, act, convrot, compiled):
    net, x, host = Hidden(act, convrot), inputs(act), comfy.ops.linear_input_act
    own, delta = net(x), change(pack)
    expected = own + beside(x, act, delta)
    gate, before = Gate(), dict(vars(net.down))
    with put_on(pack, net, gate, delta, compiled):
        assert relative(net(x), expected) < 1e-6
        gate.open = False
        assert torch.equal(net(x), own), "calls of others are as they were"
        gate.open = True
        with pytest.raises(ValueError):
            net(x[..., :-2])
        assert relative(net(x), expected) < 1e-6, "an error leaves nothing half way"
    assert torch.equal(net(x), own) and comfy.ops.linear_input_act is host
    assert vars(net.down) == before


def test_two_on_one_layer_each_in_its_own_calls(pack):
    net, x, host, before = Hidden("swiglu", True), inputs("swiglu"), comfy.ops.linear_input_act, None
    own, before = net(x), dict(vars(net.down))
    deltas, gates = [change(pack, seed) for seed in (1, 2)], [Gate(), Gate()]
    added = [beside(x, "swiglu", delta) for delta in deltas]
    first = put_on(pack, net, gates[0], deltas[0])
    second = put_on(pack, net, gates[1], deltas[1])
    assert relative(net(x), own + added[0] + added[1]) < 1e-6
    gates[0].open = False
    assert relative(net(x), own + added[1]) < 1e-6
    second.close()
    assert torch.equal(net(x), own)
    gates[0].open = True
    assert relative(net(x), own + added[0]) < 1e-6
    first.close()
    assert torch.equal(net(x), own) and vars(net.down) == before and comfy.ops.linear_input_act is host


def test_a_newer_hosts_function_adds_its_residual_to_the_changed_product(pack, monkeypatch):
    """Its further arguments are none of ours, whatever they are."""
    net, x, delta = Hidden("gelu_tanh"), inputs("gelu_tanh"), change(pack)
    own = net(x)
    fused = comfy.ops.linear_input_act

    def newer(linear, x, input_act, act_weight=None, act_eps=0.0, residual=None, residual_scale=None):
        if not isinstance(linear.weight, QuantizedTensor):
            assert linear._full_precision_mm, "else it takes plain weights for itself, too"
            out = linear(comfy.ops.INPUT_ACT_EAGER[input_act](x))
        else:
            out = fused(linear, x, input_act)
        return out if residual is None else torch.addcmul(residual, out, residual_scale)

    monkeypatch.setattr(comfy.ops, "linear_input_act", newer)
    residual, scale = torch.randn(2, 5, 64), torch.randn(64)

    def call():
        return comfy.ops.linear_input_act(
            net.down, x, input_act="gelu_tanh", residual=residual, residual_scale=scale
        )

    plain = call()
    with put_on(pack, net, Gate(), delta):
        expected = residual + scale * (own + beside(x, "gelu_tanh", delta))
        assert relative(call(), expected) < 1e-6
    assert torch.equal(call(), plain)


def test_who_replaced_the_hosts_function_keeps_his_own(pack, monkeypatch):
    """Before a run, and in the middle of one."""
    net, x, calls = Hidden("gelu_tanh"), inputs("gelu_tanh"), []

    def theirs(inner):
        def linear_input_act(*args):
            calls.append(inner)
            return inner(*args)

        return linear_input_act

    own, delta = net(x), change(pack)
    before = theirs(comfy.ops.linear_input_act)
    monkeypatch.setattr(comfy.ops, "linear_input_act", before)
    with put_on(pack, net, Gate(), delta):
        assert relative(net(x), own + beside(x, "gelu_tanh", delta)) < 1e-6 and len(calls) == 1
        later = comfy.ops.linear_input_act = theirs(comfy.ops.linear_input_act)
    assert comfy.ops.linear_input_act is later
    assert torch.equal(net(x), own) and len(calls) == 3
