"""Blocks of a network whose inner results are made again for the backward pass instead of being held."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ..apply import Swap
from .layers import Layers

_CONTAINERS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)
# Of a block's layers: where more lie in blocks of its own, these are the ones.
_MOST = 2 / 3


def blocks(network: nn.Module) -> list[nn.Module]:
    """The modules that a network has in rows, of two layers at least: transformer and ResNet blocks.

    Of blocks within blocks the outer ones, but where nearly all layers lie in inner ones, those.
    """
    return list(_below(network))


def _below(module: nn.Module) -> Iterator[nn.Module]:
    in_a_row = isinstance(module, _CONTAINERS)
    for child in module.children():
        if not in_a_row or isinstance(child, _CONTAINERS) or _layers(child) < 2:
            yield from _below(child)
            continue
        inner = list(_below(child))
        if sum(map(_layers, inner)) > _MOST * _layers(child):
            yield from inner
        else:
            yield child


def _layers(module: nn.Module) -> int:
    return sum(getattr(m, "weight", None) is not None and not list(m.children()) for m in module.modules())


class Checkpointed:
    """The blocks of a network under checkpoints; ``close`` takes them off again.

    ``layers`` has the hooks within them: a block that runs again adds what it added the first time. Not by
    torch's own checkpoint: many networks add to their residual in place where an earlier layer has it for its
    gradient. Torch refuses the gradient then, but does not notice it in what a checkpoint runs again, and
    gives a wrong one.
    """

    def __init__(self, network: nn.Module, layers: Layers) -> None:
        self.blocks = tuple(blocks(network))
        with torch.inference_mode(False):
            # The first block's input has no gradient, while what is added within has.
            anchor = torch.zeros((), requires_grad=True)
        with ExitStack() as on:
            for block in self.blocks:
                on.callback(Swap(block, _through(block.forward, layers, anchor)).remove)
            self._on = on.pop_all()

    def close(self) -> None:
        """Take the checkpoints off. To be called whatever has happened."""
        self._on.close()

    def __enter__(self) -> Checkpointed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _through(plain: Callable[..., Any], layers: Layers, anchor: Tensor) -> Callable[..., Any]:
    worked_in = set[int]()

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        shown = layers.shown
        if not torch.is_grad_enabled() or shown is None:
            return plain(*args, **kwargs)
        # A block may work in what it gets, and its second run needs that as it was, also where no gradient
        # goes to it: the picture, before the first layer that learns.
        own = {id(each) for each in (*args, *kwargs.values()) if isinstance(each, Tensor)}
        given = _Tree((args, kwargs), lambda tensor: _has_gradient(tensor) or id(tensor) in own)
        form = list[_Tree]()

        def run(tensors: Sequence[Tensor], again: bool) -> tuple[Tensor, ...]:
            positional, named = given.filled(tensors, as_it_was=again)
            with layers.showing(shown):
                result = _Tree(plain(*positional, **named), _can_have_one)
            if not again:
                form.append(result)
            return result.tensors

        results = _Block.apply(run, worked_in, anchor, *given.tensors)
        return form.pop().filled(results)

    return forward


class _Block(torch.autograd.Function):
    """``run`` of tensors without a graph; again, with one, when its gradients are asked for."""

    @staticmethod
    def forward(ctx: Any, run: Any, worked_in: Any, anchor: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.run, ctx.worked_in = run, worked_in
        ctx.save_for_backward(*tensors)
        return run([tensor.clone() for tensor in tensors], again=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        run, ctx.run = ctx.run, None
        learns = ctx.needs_input_grad[3:]
        tensors = [
            t.detach().requires_grad_(needed) for t, needed in zip(ctx.saved_tensors, learns, strict=True)
        ]
        with torch.enable_grad():
            results = _graph(lambda: run([tensor.clone() for tensor in tensors], again=True), ctx.worked_in)
            pairs = [
                (result, gradient)
                for result, gradient in zip(results, gradients, strict=True)
                if gradient is not None and result.requires_grad
            ]
            if pairs:
                torch.autograd.backward([r for r, _ in pairs], [g for _, g in pairs])
        return None, None, None, *(tensor.grad for tensor in tensors)


def _graph(run: Callable[[], tuple[Tensor, ...]], worked_in: set[int]) -> tuple[Tensor, ...]:
    """What ``run`` gives, with a graph whose saved tensors are as they were when they were saved.

    ``worked_in`` has those, by their turn, that are worked in later and so are copied. Which ones that are is
    only known after a run: where others come to light it is run again.
    """
    while True:
        saved = _Saved(frozenset(worked_in))
        with saved_tensors_hooks(saved.save, lambda held: held):
            results = run()
        others = saved.worked_in()
        if not others:
            return results
        # Never two graphs of a block at a time.
        del results
        worked_in |= others


class _Saved:
    """The tensors that a graph saves, in turn; of ``copied`` ones a copy."""

    def __init__(self, copied: frozenset[int]) -> None:
        self._copied = copied
        self._held: list[tuple[Tensor, int]] = []

    def save(self, tensor: Tensor) -> Tensor:
        held = tensor.clone() if len(self._held) in self._copied else tensor
        self._held.append((held, held._version))
        return held

    def worked_in(self) -> set[int]:
        """The turns of those that were worked in since they were saved; asked once, for it lets go of all."""
        held, self._held = self._held, []
        return {turn for turn, (tensor, version) in enumerate(held) if tensor._version != version}


class _Tree:
    """Arguments or results, and the tensors in them that are ``wanted``."""

    def __init__(self, value: Any, wanted: Callable[[Tensor], bool]) -> None:
        self._value = value
        # Said now: what a block has worked in has a gradient afterwards.
        self._wanted = [wanted(tensor) for tensor in _leaves(value)]
        # Hosts go on to write in the dictionaries that they hand out.
        self._was = _copied(value)
        self.tensors = tuple(t for t, meant in zip(_leaves(value), self._wanted, strict=True) if meant)

    def filled(self, tensors: Sequence[Tensor], as_it_was: bool = False) -> Any:
        """The same with other tensors; ``as_it_was``: with dictionaries as they were in the beginning."""
        value = _copied(self._was) if as_it_was else self._value
        return _put(value, iter(tensors), iter(self._wanted))


def _leaves(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for each in _inside(value):
            yield from _leaves(each)


def _put(value: Any, tensors: Iterator[Tensor], wanted: Iterator[bool]) -> Any:
    """``value`` with other tensors; the very object where none in it is wanted."""
    if isinstance(value, Tensor):
        return next(tensors) if next(wanted) else value
    inside = list(_inside(value))
    others = [_put(each, tensors, wanted) for each in inside]
    same = all(one is other for one, other in zip(inside, others, strict=True))
    return value if same else _again(value, others)


def _copied(value: Any) -> Any:
    inside = _inside(value)
    return _again(value, map(_copied, inside)) if inside else value


def _inside(value: Any) -> Sequence[Any]:
    """What lies in a container; modulations come as dataclasses."""
    if isinstance(value, (tuple, list)):
        return value
    if type(value) is dict:
        return list(value.values())
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name) for each in fields(value)]
    return ()


def _again(value: Any, inside: Iterable[Any]) -> Any:
    """A container of the same kind with other things in it."""
    if type(value) is dict:
        return dict(zip(value, inside, strict=True))
    if isinstance(value, (tuple, list)):
        return value._make(inside) if hasattr(value, "_make") else type(value)(inside)
    made = copy.copy(value)
    for field, each in zip(fields(value), inside, strict=True):
        object.__setattr__(made, field.name, each)
    return made


def _has_gradient(tensor: Tensor) -> bool:
    return tensor.requires_grad


def _can_have_one(tensor: Tensor) -> bool:
    return tensor.is_floating_point()
