"""A LoRA's tensors under the names that the host's converters give them, each with the file's own name."""

from __future__ import annotations

from collections.abc import Mapping

import comfy.lora_convert
from torch import Tensor

from ...klora_core import names
from ...klora_core.errors import printable
from ...klora_core.files import Left, What, check_layout, split

_LOST = "the host gives two tensors of the file one name"


def converted(lora: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str], list[Left]]:
    """The tensors under the host's names, the file's name of each, and what the host loses of them.

    The host gets real tensors, which newer ones cut and look into. Fused projections it does not get: how it
    takes them apart depends on its version, and the reader does it for every host.
    """
    check_layout(lora)
    kept = {key: tensor for key, tensor in lora.items() if _is_kept(key)}
    # Each of them another object, whatever the LoRA holds twice.
    lent = {key: _alias(tensor) for key, tensor in lora.items() if key not in kept}
    owners = {id(tensor): key for key, tensor in lent.items()}
    tensors, origin = dict(kept), {key: key for key in kept}
    for key, tensor in comfy.lora_convert.convert_lora(dict(lent)).items():
        owner = owners.get(id(tensor))
        tensors[key] = tensor if owner is None else lora[owner]
        if owner is not None or (owner := _owner(tensor, lent)) is not None:
            origin[key] = owner
    there = set(origin.values())
    lost = [key for key in lora if key not in there]
    return tensors, origin, [Left(printable(key), _LOST, What.TENSOR, (key,)) for key in lost]


def _is_kept(key: object) -> bool:
    found = split(key) if isinstance(key, str) else None
    return not isinstance(key, str) or (found is not None and names.is_fused(found[0]))


def _alias(tensor: Tensor) -> Tensor:
    return tensor.detach() if isinstance(tensor, Tensor) else tensor


def _owner(tensor: Tensor, lent: Mapping[str, Tensor]) -> str | None:
    """The tensor in whose memory another one lies, as that of a part does; None for a new one."""
    at = tensor.data_ptr() if isinstance(tensor, Tensor) else 0
    inside = (key for key, t in lent.items() if isinstance(t, Tensor) and 0 <= at - t.data_ptr() < t.nbytes)
    return next(inside, None) if at else None
