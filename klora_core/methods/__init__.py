"""The methods, one family a file: a table by name."""

from ..method import Method
from .klora import KLora

METHODS: dict[str, type[Method]] = {method.name: method for method in (KLora,)}
