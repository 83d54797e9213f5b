"""Gates in the host's sampler restated: by hooks, over the LoRAs' whole outputs. Shares no code."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.support.host.nodes import lora_set, part
from tests.support.host.reference import PREFIX, dense


class Oracle:
    """The equations by forward hooks, on outputs as large as they come, in float64."""

    def __init__(self, loras, strengths=(1.0, 1.0)):
        self.deltas = [{name: delta for name, (delta, _) in dense(lora).items()} for lora in loras]
        self.strengths = strengths

    def gates(self, name, parts, tokens):
        raise NotImplementedError

    def patch(self, model):
        """A clone whose layers add what the gates weigh, for the length of each call."""
        patched = model.clone()

        def wrapper(apply_model, args):
            base = apply_model.__self__
            names = sorted(set().union(*self.deltas))
            handles = [
                base.get_submodule(PREFIX + name).register_forward_hook(self._hook(name)) for name in names
            ]
            try:
                return apply_model(args["input"], args["timestep"], **args["c"])
            finally:
                for handle in handles:
                    handle.remove()

        patched.set_model_unet_function_wrapper(wrapper)
        return patched

    def _hook(self, name):
        there = [i for i, deltas in enumerate(self.deltas) if name in deltas]

        def after(module, args, output):
            x = args[0].double()
            conv = hasattr(module, "kernel_size")
            if conv:
                tokens = F.unfold(
                    x, module.kernel_size, padding=module.padding, stride=module.stride
                ).transpose(1, 2)
            else:
                tokens = x.reshape(x.shape[0], -1, x.shape[-1])
            parts = [tokens @ self.deltas[i][name].T for i in there]
            gates = self.gates(name, parts, tokens) if len(there) > 1 else torch.ones(1, 1, 1).double()
            added = sum(gates[..., j : j + 1] * self.strengths[i] * parts[j] for j, i in enumerate(there))
            added = added.transpose(1, 2) if conv else added
            return output + added.reshape(output.shape).to(output.dtype)

        return after


class MoleOracle(Oracle):
    def __init__(self, loras, e, tau, pool, total, **more):
        super().__init__(loras, **more)
        self.e, self.tau, self.pool, self.total = e, tau, pool, total

    def gates(self, name, parts, tokens):
        score = F.layer_norm(torch.cat(parts, -1), (sum(p.shape[-1] for p in parts),), eps=0.0)
        score = score @ self.e[name].double()
        score = score.mean(1, keepdim=True) if self.pool == "picture" else score
        return torch.softmax(score / self.tau, -1) * (len(parts) if self.total == "N" else 1)


class ArrowOracle(Oracle):
    def gates(self, name, parts, tokens):
        vectors = [torch.linalg.svd(deltas[name])[2][0] for deltas in self.deltas if name in deltas]
        return torch.softmax(torch.stack([(tokens @ vector).abs() for vector in vectors], -1), -1)


def trained(pack, model, loras, pool="picture", total="N", seed=9, scale=0.5, method="MoLE"):
    """(a gate as a LORA_MODEL, e of each layer) of two LoRAs."""
    files = part(pack, "klora_core.files.learned")
    generator = torch.Generator().manual_seed(seed)
    shared = sorted(set(dense(loras[0])) & set(dense(loras[1])))
    e = {}
    for name in shared:
        out = model.model.get_submodule(PREFIX + name).weight.shape[0]
        e[name] = scale * torch.randn(2 * out, 2, generator=generator) / out**0.5
    marks = tuple(files.LoraMark(n, files.content_of(lora)) for n, lora in zip("ab", loras, strict=True))
    # A slot's name is its weight's, and so has no .weight behind it here as in files.
    slots = {name: files.SlotGate(each, 0.8) for name, each in e.items()}
    gate = files.GateFile("gate", method, pool, total, marks, slots, "SD1.5")
    tensors, metadata = files.gate_tensors(gate)
    return part(pack, "nodes.loras").LoraStateDict(tensors, "gate.safetensors", metadata), e


def both(pack, loras, *strengths):
    return lora_set(pack, *zip(loras, ("subject", "style"), strengths or (1.0, 1.0), strict=True))
