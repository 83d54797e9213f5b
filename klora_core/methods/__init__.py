"""The methods, one family a file: a table by name."""

from ..method import Method
from .b_lora import BLora
from .in_turn import LoraSwitch
from .klora import KLora
from .mixed import CmLora, LoraComposite

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (KLora, LoraSwitch, LoraComposite, CmLora, BLora)
}
