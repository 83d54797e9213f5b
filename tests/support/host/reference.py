"""K-LoRA restated for the tests: literal, dense, in float64, and slow. Shares no code with the pack.

LoRAs are given in the plainest spelling, ``diffusion_model.<layer>.lora_A.weight`` (with ``.lora_B`` and
``.alpha``), so that reading them needs no key map.
"""

from __future__ import annotations

import torch

PREFIX, DOWN = "diffusion_model.", ".lora_A.weight"


def random_lora(model, layers, rank, seed, scale=0.3, alpha=None, dtype=torch.float32):
    """Heavy-tailed random factors for ``layers``, sized so that a LoRA shows in the latents."""
    generator = torch.Generator().manual_seed(seed)
    lora = {}
    for layer in layers:
        weight = model.get_submodule(PREFIX + layer).weight
        out, inputs = weight.shape[0], weight.shape[1:]
        loud = torch.rand((), generator=generator) * 3 - 1.5
        up = torch.randn((out, rank), generator=generator) * torch.randn((out, 1), generator=generator).exp()
        down = torch.randn((rank, *inputs), generator=generator)
        size = scale * loud.exp() / (rank * inputs.numel()) ** 0.5
        ones = (1,) * (len(inputs) - 1)
        lora[f"{PREFIX}{layer}{DOWN}"] = down.to(dtype)
        lora[f"{PREFIX}{layer}.lora_B.weight"] = (up * size).view(out, rank, *ones).to(dtype)
        if alpha is not None:
            lora[f"{PREFIX}{layer}.alpha"] = torch.tensor(float(alpha))
    return lora


def dense(lora):
    """{layer: (dW as float64 [out, n], rank)} with alpha/rank folded in."""
    deltas = {}
    for key, down in lora.items():
        if not key.endswith(DOWN):
            continue
        layer = key[len(PREFIX) : -len(DOWN)]
        up = lora[key.replace("lora_A", "lora_B")].double().flatten(1)
        rank = down.shape[0]
        alpha = lora.get(f"{PREFIX}{layer}.alpha")
        factor = 1.0 if alpha is None else float(alpha) / rank
        deltas[layer] = factor * (up @ down.double().flatten(1)), rank
    return deltas


class Reference:
    """Eqs. 3 to 10 over two LoRAs, applied by rewriting weights before every model call."""

    def __init__(
        self,
        subject,
        style,
        *,
        star=False,
        alpha=1.5,
        beta=None,
        balance=0.0,
        by="steps",
        strengths=(1.0, 1.0),
    ):
        self.subject, self.style = dense(subject), dense(style)
        self.star, self.alpha, self.balance, self.by, self.strengths = star, alpha, balance, by, strengths
        self.beta = beta if beta is not None else (1.3 if star else 0.5)
        self.used: list[float] = []
        self._scores: dict[str, list[float]] = {}
        self.compete()

    def compete(self):
        """Find the shared layers and gamma (Eq. 9); again, where a test has changed the deltas."""
        self.shared = sorted(self.subject.keys() & self.style.keys())
        l1 = [sum(float(d[name][0].abs().sum()) for name in self.shared) for d in (self.subject, self.style)]
        self.gamma = l1[0] / l1[1] if l1[1] else 1.0

    def scale(self, x):
        value = self.alpha * x + self.beta
        return (value % self.alpha if self.star else value) * 4**self.balance

    def scores(self, layer):
        if layer not in self._scores:
            (ours, rank_ours), (theirs, rank_theirs) = self.subject[layer], self.style[layer]
            k = min(rank_ours * rank_theirs, ours.numel())
            self._scores[layer] = [float(d.abs().flatten().topk(k).values.sum()) for d in (ours, theirs)]
        return self._scores[layer]

    def subject_wins(self, layer, x):
        ours, theirs = self.scores(layer)
        return ours >= self.gamma * self.scale(x) * theirs

    def winners(self, x):
        return {layer: self.subject_wins(layer, x) for layer in self.shared}

    def progress(self, model, options):
        sigma = float(options["sigmas"][0])
        if self.by == "steps":
            schedule = [float(s) for s in options["sample_sigmas"]]
            steps = len(schedule) - 1
            step = min(steps - 1, sum(1 for s in schedule[:-1] if s > sigma * (1 + 1e-4)))
            return (step + 0.5) / steps
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (
                (middle, high)
                if float(model.model_sampling.percent_to_sigma(middle)) > sigma
                else (low, middle)
            )
        return (low + high) / 2

    def patch(self, model):
        """A clone of ``model`` that follows the reference."""
        patched = model.clone()
        patched.set_model_unet_function_wrapper(self._call)
        return patched

    def _call(self, apply_model, args):
        return self.call(apply_model, args, apply_model.__self__)

    def call(self, apply_model, args, model):
        """One model call with the weights rewritten for its moment, and restored after it."""
        c = args["c"]
        x = self.progress(model, c["transformer_options"])
        self.used.append(x)
        changes = self.changes(x)
        saved = {}
        try:
            for name, change in changes.items():
                layer, _, part = name.partition("|")
                weight = model.get_submodule(PREFIX + layer).weight
                saved.setdefault(layer, weight.data)
                rows = weight.data.to(torch.float64, copy=True).flatten(1)
                # "layer|i" is the i-th slice of a fused weight, as long as the slices before it.
                start = int(part) * (change.shape[0] if part != "3" else change.shape[0] // 4) if part else 0
                rows[start : start + change.shape[0]] += change
                weight.data = rows.view(weight.shape).to(weight.dtype)
            return apply_model(args["input"], args["timestep"], **c)
        finally:
            for layer, data in saved.items():
                model.get_submodule(PREFIX + layer).weight.data = data

    def changes(self, x):
        """What is added to each layer at progress ``x``."""
        changes = {}
        for deltas, strength, wins in (
            (self.subject, self.strengths[0], True),
            (self.style, self.strengths[1], False),
        ):
            for layer, (delta, _) in deltas.items():
                if layer not in self.shared or self.subject_wins(layer, x) is wins:
                    changes[layer] = changes.get(layer, 0) + strength * delta
        return changes
