"""Changes on layers by hooks, with gradients, against weights that are changed; checkpoints against none."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from klora_core.apply import Spot
from klora_core.names import Slot
from klora_core.train import Checkpointed, Layers, added, blocks, inner, outer
from tests.support.nets import Net, inputs, state

RANK = 3


class Pairs:
    """Factors of each slot, as changes."""

    def __init__(self, slots, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.pairs = {
            slot: (
                (torch.randn(out, RANK, generator=g) * 0.2).requires_grad_(),
                (torch.randn(RANK, n, generator=g) * 0.2).requires_grad_(),
            )
            for slot, (out, n) in slots.items()
        }

    def of(self, slot):
        up, down = self.pairs[slot]
        return lambda module, x: added(module, x, down, up)

    @property
    def tensors(self):
        return [tensor for pair in self.pairs.values() for tensor in pair]


def here(slot, out):
    return (Spot(slot.weight, slot.rows),)


def slots_of(net):
    found = {}
    for name, module in net.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)) and name != "qkv":
            found[Slot(name)] = (module.weight.shape[0], module.weight[0].numel())
    # A fused weight, of which two parts are changed.
    found[Slot("qkv", (0, 24))] = (24, 24)
    found[Slot("qkv", (48, 24))] = (24, 24)
    return found


def by_weights(net, changes):
    """The same by changed weights, as a function of the factors."""
    weights = {name: value.clone() for name, value in net.named_parameters()}
    for slot, (up, down) in changes.pairs.items():
        name = f"{slot.weight}.weight"
        weight, start = weights[name], slot.rows[0] if slot.rows else 0
        dense = (up @ down).view(up.shape[0], *weight.shape[1:])
        below = weight.shape[0] - start - up.shape[0]
        weights[name] = weight + nn.functional.pad(dense.flatten(1), (0, 0, start, below)).view(weight.shape)
    return torch.func.functional_call(net, weights, (inputs(2),))


def heights(slots):
    return {slot: out for slot, (out, _) in slots.items()}


def test_hooks_are_changed_weights_and_so_are_their_gradients():
    torch.manual_seed(0)
    net = Net().requires_grad_(False)
    slots = slots_of(net)
    changes, before, plain = Pairs(slots), state(net), net(inputs(2))
    with Layers(net, heights(slots), here) as layers:
        assert torch.equal(net(inputs(2)), plain), "nothing is shown yet"
        with layers.showing(changes):
            found = net(inputs(2))
        assert layers.unseen == () and layers.shown is None
        found.square().sum().backward()
    grads = [tensor.grad.clone() for tensor in changes.tensors]
    for tensor in changes.tensors:
        tensor.grad = None
    expected = by_weights(net, changes)
    expected.square().sum().backward()
    assert torch.allclose(found, expected, atol=1e-5)
    for grad, tensor in zip(grads, changes.tensors, strict=True):
        assert torch.allclose(grad, tensor.grad, atol=1e-4 * float(tensor.grad.abs().max()))
    after = state(net)
    assert before[0] == after[0] and all(torch.equal(before[1][k], after[1][k]) for k in before[1])


def test_hooks_go_whatever_happens_and_unseen_layers_are_told():
    net = Net().requires_grad_(False)
    before = state(net)[0]
    with pytest.raises(KeyboardInterrupt), Layers(net, {Slot("qkv"): 72, Slot("out.0"): 24}, here) as layers:
        with layers.showing(Pairs({Slot("qkv"): (72, 24)})):
            net.qkv(torch.zeros(1, 24))
        assert layers.unseen == ("out.0",)
        raise KeyboardInterrupt
    assert state(net)[0] == before


def test_a_slot_that_lies_in_several_layers():
    """q, k, v fused in a LoRA, apart in the model."""
    net = nn.ModuleDict({name: nn.Linear(4, 4, bias=False) for name in "qkv"})
    slot, x = Slot("qkv"), torch.randn(2, 4)
    changes = Pairs({slot: (12, 4)})

    def where(slot, out):
        return [Spot(name, None, (4 * i, 4)) for i, name in enumerate("qkv")]

    up, down = changes.pairs[slot]
    with Layers(net, {slot: 12}, where) as layers, layers.showing(changes):
        found = torch.cat([net[name](x) for name in "qkv"], dim=1)
    plain = torch.cat([net[name](x) for name in "qkv"], dim=1)
    assert torch.allclose(found - plain, x @ (up @ down).T, atol=1e-6)


@pytest.mark.parametrize("layer", ["inward", "down", "qkv"])
def test_rank_numbers_lie_last_and_may_be_weighed(layer):
    net = Net().requires_grad_(False)
    module = net.get_submodule(layer)
    x = torch.randn(2, 4 if layer == "inward" else 24, 6, 6) if layer != "qkv" else torch.randn(2, 5, 24)
    up, down = torch.randn(module.weight.shape[0], RANK), torch.randn(RANK, module.weight[0].numel())
    z = inner(module, x, down)
    assert z.shape[-1] == RANK
    gates = torch.tensor([0.0, 2.0, -1.0])
    assert torch.allclose(outer(module, z * gates, up), added(module, x, down, up * gates), atol=1e-4)


@dataclass
class Gate:
    scale: torch.Tensor


class Residual(nn.Module):
    """Adds in place where a norm has the tensor for its gradient, as FLUX's blocks do; writes into a dict."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x, notes, pair, gate):
        notes["runs"] = notes.get("runs", 0) + 1
        x += self.one(self.norm(x)) * notes.get("scale", 1.0)
        x += torch.tanh(self.two(x)) + pair[0] + gate.scale
        return x, {"kept": x * 2, "none": None}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.inward = nn.Linear(4, 8)
        self.blocks = nn.ModuleList([Residual() for _ in range(3)])
        self.out = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2))

    def forward(self, x):
        notes, x = {"scale": 0.5}, self.inward(x)
        for block in self.blocks:
            x, more = block(x, notes, pair=(x * 0.1,), gate=Gate(x.sin()))
            x = x + more["kept"]
            notes["scale"] = notes["scale"] + 1
        return self.out(x), notes["runs"]


def gradients(net, slots, checkpointed):
    changes, x = Pairs(slots), torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    with Layers(net, heights(slots), here) as layers:
        on = Checkpointed(net, layers) if checkpointed else None
        with layers.showing(changes):
            found, runs = net(x)
        assert runs == 3, "what blocks write is seen by others"
        found.square().sum().backward()
        if on is not None:
            on.close()
    return found.detach(), [tensor.grad for tensor in changes.tensors]


# The second: no gradient goes to what the first block gets, and it works in that all the same.
@pytest.mark.parametrize("learned", ["", "blocks."])
def test_blocks_that_run_again_have_the_gradients_of_blocks_that_do_not(learned):
    torch.manual_seed(0)
    net = Network().requires_grad_(False)
    slots = {
        Slot(name): tuple(module.weight.shape)
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(learned)
    }
    forwards = {name: module.__dict__.get("forward") for name, module in net.named_modules()}
    found, ours = gradients(net, slots, True)
    assert {name: module.__dict__.get("forward") for name, module in net.named_modules()} == forwards
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        expected, plain = gradients(copy.deepcopy(net), slots, False)
    assert torch.allclose(found, expected, atol=1e-6)
    for one, other in zip(ours, plain, strict=True):
        assert torch.allclose(one, other, atol=1e-6 + 1e-5 * float(other.abs().max()))
    assert any(float(grad.abs().max()) > 1e-2 for grad in plain[:8])


class Plain(Residual):
    """The same in new tensors."""

    def forward(self, x, notes, pair, gate):
        notes["runs"] = notes.get("runs", 0) + 1
        x = x + self.one(self.norm(x)) * notes.get("scale", 1.0)
        x = x + torch.tanh(self.two(x)) + pair[0] + gate.scale
        return x, {"kept": x * 2, "none": None}


def test_which_tensors_are_worked_in_is_found_out_once():
    """A third run of a block, of the first step alone, where it works in what its graph has saved."""
    torch.manual_seed(0)
    net, runs, grads = Network().requires_grad_(False), [], []
    plain = copy.deepcopy(net)
    plain.blocks = nn.ModuleList([Plain() for _ in range(3)]).requires_grad_(False)
    plain.load_state_dict(net.state_dict())
    slots = {Slot(f"blocks.{i}.{name}"): (8, 8) for i in range(3) for name in ("one", "two")}
    for model in (net, plain):
        model.blocks[1].one.register_forward_pre_hook(lambda *_: runs.append(1))
        changes, x = Pairs(slots), torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
        with Layers(model, heights(slots), here) as layers, Checkpointed(model, layers):
            counts = []
            for _ in range(3):
                runs.clear()
                with layers.showing(changes):
                    found, _ = model(x)
                found.square().sum().backward()
                counts.append(len(runs))
        assert counts == ([3, 2, 2] if model is net else [2, 2, 2])
        grads.append([tensor.grad for tensor in changes.tensors])
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, atol=1e-6 + 1e-5 * float(other.abs().max()))
    assert all(float(grad.abs().max()) > 1e-3 for grad in grads[0])


def test_which_modules_are_blocks():
    """The innermost rows that hold nearly all; no sequence of single layers."""
    net = Network()
    assert blocks(net) == list(net.blocks)
    inner_ones = nn.Module()
    inner_ones.blocks = nn.ModuleList([Residual() for _ in range(4)])
    inner_ones.proj = nn.Linear(8, 8)
    outer_one = nn.ModuleList([inner_ones])
    assert blocks(outer_one) == list(inner_ones.blocks)
    experts = nn.Module()
    experts.experts = nn.ModuleList([Residual()])
    experts.q, experts.k, experts.v = (nn.Linear(8, 8) for _ in "qkv")
    assert blocks(nn.ModuleList([experts])) == [experts]
